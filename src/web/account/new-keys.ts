/**
 * Pages that create and replace API keys. Both require recent authentication. The key is shown
 * once, in the response to the form.
 */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS } from '../../base/clock.js';
import { KEY_ROLES } from '../../core/api-keys/api-keys.js';
import type { FreshApiKey } from '../../core/api-keys/records.js';
import type { Core } from '../../core/core.js';
import { field, parseForm, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import { describeDuration, describeExpiry } from '../pages/format.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import {
  findOrganizationsAndProjects,
  listOrganizationsAndProjects,
  type OrganizationOrProject,
  toKeyView,
} from './key-view-models.js';
import { KEYS_PATH } from './keys.js';
import type { AccountPages, NewKeyErrors, SelectOption } from './view-models.js';

interface Deps extends Pick<Core, 'apiKeys' | 'organizations' | 'projects' | 'resources'> {
  defaultKeyLifetimeSeconds: number;
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

type Listed = Awaited<ReturnType<typeof listOrganizationsAndProjects>>;

/** The value of the option for a key that never expires. */
const NEVER = 'never';
const LIFETIMES_SECONDS = [7, 30, 90, 365].map((days) => days * DAY_SECONDS);
const GRACE_PERIODS_SECONDS = [0, HOUR_SECONDS, DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS];
const DEFAULT_GRACE_SECONDS = DAY_SECONDS;
/** Checkboxes of scopes are named `scope.<name>`. */
const SCOPE_PREFIX = 'scope.';

const ReplaceForm = z.object({
  csrf: z.string(),
  grace: z.enum(GRACE_PERIODS_SECONDS.map(String)).default(String(DEFAULT_GRACE_SECONDS)),
});

/** Adds the routes of these pages. */
export function addNewKeys(router: Router<State>, deps: Deps): void {
  const { apiKeys, resources, defaultKeyLifetimeSeconds, clock, csrf, guards, views } = deps;
  const lifetimes = [...new Set([...LIFETIMES_SECONDS, defaultKeyLifetimeSeconds])].sort((a, b) => a - b);
  const NewKeyForm = newKeyForm(lifetimes, defaultKeyLifetimeSeconds);
  const requireRecentAuthentication = guards.requireRecentAuthentication();
  router
    .get(`${KEYS_PATH}/new`, requireRecentAuthentication, showNewKeyForm)
    .post(`${KEYS_PATH}/new`, requireRecentAuthentication, parseForm, create);
  router
    .get(`${KEYS_PATH}/:id/replace`, requireRecentAuthentication, showReplaceForm)
    .post(`${KEYS_PATH}/:id/replace`, requireRecentAuthentication, parseForm, replace);

  async function showNewKeyForm(ctx: Context): Promise<void> {
    const listed = await listOrganizationsAndProjects(sessionOf(ctx).account.id, deps);
    renderNewKeyForm(ctx, listed, NewKeyForm.parse({ csrf: '' }));
  }

  async function create(ctx: Context): Promise<void> {
    const values = readForm(ctx, NewKeyForm);
    csrf.check(ctx, values.csrf);
    const authenticated = sessionOf(ctx);
    const listed = await listOrganizationsAndProjects(authenticated.account.id, deps);
    const limit = listed.available.find((candidate) => idOf(candidate) === values.place);
    if (values.place && !limit) {
      ctx.status = 404;
      return renderNewKeyForm(ctx, listed, values, { place: 'You are not a member of this organization.' });
    }
    try {
      const created = await apiKeys.create(
        authenticated,
        {
          name: values.name,
          format: 'sk_live',
          organizationId: limit?.organizationId,
          projectId: limit?.projectId ?? undefined,
          role: values.role || undefined,
          scopes: values.scopes,
          lifeSeconds: values.life === NEVER ? null : Number(values.life),
        },
        ctx.state.meta,
      );
      renderKey(ctx, created);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      renderNewKeyForm(ctx, listed, values, toFormErrors(error));
    }
  }

  function renderNewKeyForm(
    ctx: Context,
    { available, isComplete }: Listed,
    values: NewKeyValues,
    errors: NewKeyErrors = {},
  ): void {
    ctx.body = views.render('account/new-key', {
      csrfToken: csrf.tokenFor(ctx),
      name: values.name,
      organizationsAndProjects: toOptions(
        available.map((one) => [idOf(one), one.displayName]),
        values.place,
      ),
      hasMoreProjects: !isComplete,
      roles: toOptions([['', 'Same as my role'], ...KEY_ROLES.map((role) => [role, role] as const)], values.role),
      lifetimes: toOptions(
        [
          ...lifetimes.map((seconds) => [String(seconds), describeDuration(seconds)] as const),
          [NEVER, 'Never expires'],
        ],
        values.life,
      ),
      scopes: resources.scopes().map((name) => {
        return { name, description: resources.describe(name), checked: values.scopes.includes(name) };
      }),
      errors,
    });
  }

  async function showReplaceForm(ctx: Context): Promise<void> {
    await renderReplaceForm(ctx, String(DEFAULT_GRACE_SECONDS));
  }

  async function replace(ctx: Context): Promise<void> {
    const { csrf: token, grace } = readForm(ctx, ReplaceForm);
    csrf.check(ctx, token);
    const graceSeconds = Number(grace);
    try {
      const created = await apiKeys.rotate(sessionOf(ctx), ctx.params.id, graceSeconds, ctx.state.meta);
      renderKey(ctx, created, describeOldKeyExpiry(graceSeconds, clock.now()));
    } catch (error) {
      if (!(error instanceof AppError) || error.status === 404) throw error;
      setErrorStatus(ctx, error);
      await renderReplaceForm(ctx, grace, error.message);
    }
  }

  async function renderReplaceForm(ctx: Context, grace: string, error?: string): Promise<void> {
    const { account } = sessionOf(ctx);
    const key = await apiKeys.findActive(account.id, ctx.params.id);
    ctx.body = views.render('account/replace-key', {
      csrfToken: csrf.tokenFor(ctx),
      key: toKeyView(key, await findOrganizationsAndProjects(account.id, [key], deps), clock.now()),
      gracePeriods: toOptions(
        GRACE_PERIODS_SECONDS.map((seconds) => [
          String(seconds),
          seconds === 0 ? 'Revoke it now' : describeDuration(seconds),
        ]),
        grace,
      ),
      error,
    });
  }

  /** Renders the response to the form itself. A redirect would have to store the key. */
  function renderKey(ctx: Context, { key, record }: FreshApiKey, oldKey?: string): void {
    ctx.status = 201;
    ctx.body = views.render('account/key-created', {
      csrfToken: csrf.tokenFor(ctx),
      name: record.name,
      key,
      expires: record.expiresAt ? describeExpiry(record.expiresAt, clock.now()) : undefined,
      oldKey,
    });
  }
}

/** Returns the id by which the form names an organization or project. */
const idOf = ({ organizationId, projectId }: OrganizationOrProject) => projectId ?? organizationId;

const toOptions = (pairs: (readonly [value: string, label: string])[], selectedValue: string): SelectOption[] =>
  pairs.map(([value, label]) => ({ value, label, selected: value === selectedValue }));

/** Absent fields have the same defaults as in the JSON API. */
const newKeyForm = (lifetimes: number[], defaultLifetimeSeconds: number) =>
  z
    .object({
      csrf: z.string(),
      name: field,
      place: field,
      role: z.enum(['', ...KEY_ROLES]).default(''),
      life: z.enum([...lifetimes.map(String), NEVER]).default(String(defaultLifetimeSeconds)),
    })
    .catchall(z.string())
    .transform(({ csrf, name, place, role, life, ...others }) => {
      const checked = Object.keys(others).filter((fieldName) => fieldName.startsWith(SCOPE_PREFIX));
      return {
        csrf,
        name,
        place,
        role,
        life,
        scopes: checked.map((fieldName) => fieldName.slice(SCOPE_PREFIX.length)),
      };
    });
type NewKeyValues = z.output<ReturnType<typeof newKeyForm>>;

function describeOldKeyExpiry(graceSeconds: number, now: Date): string {
  if (graceSeconds === 0) return 'The old key no longer works.';
  return `The old key expires ${describeExpiry(addSeconds(now, graceSeconds), now)} at the latest.`;
}

/** Assigns an error to the field that the user must change, if it concerns one. */
function toFormErrors({ code, message, fields }: AppError): NewKeyErrors {
  if (fields) return { name: fields.name, scopes: fields.scopes, place: fields.organization_id };
  if (code === 'insufficient_role') return { role: message };
  if (code === 'not_found') return { place: message };
  return { form: message };
}
