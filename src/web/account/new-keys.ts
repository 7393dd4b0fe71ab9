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
import { renderFormErrors } from '../pages/form-errors.js';
import { describeExpiry, describeSpan } from '../pages/format.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import { type Place, placesOf, toKeyRow } from './key-rows.js';
import { KEYS_PAGE } from './keys.js';
import type { AccountPages, Choice, NewKeyErrors } from './view-models.js';

interface Deps extends Pick<Core, 'apiKeys' | 'organizations' | 'projects' | 'resources'> {
  keySeconds: number;
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

const NEVER = 'never';
const LIVES = [7, 30, 90, 365].map((days) => days * DAY_SECONDS);
const GRACES = [0, HOUR_SECONDS, DAY_SECONDS, 7 * DAY_SECONDS, 30 * DAY_SECONDS];
const TICK = 'scope.';

const ReplaceForm = z.object({ csrf: z.string(), grace: z.enum(GRACES.map(String)).default(String(DAY_SECONDS)) });

export function addNewKeys(router: Router<State>, deps: Deps): void {
  const { apiKeys, resources, keySeconds, clock, csrf, guards, views } = deps;
  const lives = [...new Set([...LIVES, keySeconds])].sort((a, b) => a - b);
  const NewKeyForm = formOf(lives, keySeconds);
  const requireRecentAuthentication = guards.requireRecentAuthentication();
  router
    .get(`${KEYS_PAGE}/new`, requireRecentAuthentication, showForm)
    .post(`${KEYS_PAGE}/new`, requireRecentAuthentication, parseForm, create);
  router.get(`${KEYS_PAGE}/:id/replace`, requireRecentAuthentication, askForGrace);
  router.post(`${KEYS_PAGE}/:id/replace`, requireRecentAuthentication, parseForm, replace);

  async function showForm(ctx: Context): Promise<void> {
    const places = await placesOf(sessionOf(ctx).account.id, deps);
    renderForm(ctx, places, NewKeyForm.parse({ csrf: '' }));
  }

  async function create(ctx: Context): Promise<void> {
    const wish = readForm(ctx, NewKeyForm);
    csrf.check(ctx, wish.csrf);
    const { account } = sessionOf(ctx);
    const places = await placesOf(account.id, deps);
    const place = places.find((candidate) => idOf(candidate) === wish.place);
    if (wish.place && !place) {
      ctx.status = 404;
      return renderForm(ctx, places, wish, { errors: { place: 'You are not a member of this organization.' } });
    }
    try {
      const fresh = await apiKeys.create(
        account,
        {
          name: wish.name,
          format: 'sk_live',
          organizationId: place?.organizationId,
          projectId: place?.projectId ?? undefined,
          role: wish.role || undefined,
          scopes: wish.scopes,
          lifeSeconds: wish.life === NEVER ? null : Number(wish.life),
        },
        ctx.state.meta,
      );
      renderKey(ctx, fresh);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      renderForm(ctx, places, wish, errorOf(error));
    }
  }

  function renderForm(
    ctx: Context,
    places: Place[],
    wish: AuthorizationOptions,
    { errors = {}, problem }: { errors?: NewKeyErrors; problem?: string } = {},
  ): void {
    ctx.body = views.render('account/new-key', {
      csrfToken: csrf.tokenFor(ctx),
      name: wish.name,
      places: choices(
        places.map((place) => [idOf(place), place.name]),
        wish.place,
      ),
      roles: choices([['', 'Same as my role'], ...KEY_ROLES.map((role) => [role, role] as const)], wish.role),
      lives: choices(
        [...lives.map((life) => [String(life), describeSpan(life)] as const), [NEVER, 'Never expires']],
        wish.life,
      ),
      scopes: resources.scopes().map((name) => {
        return { name, sentence: resources.describe(name), ticked: wish.scopes.includes(name) };
      }),
      errors,
      problem,
    });
  }

  async function askForGrace(ctx: Context): Promise<void> {
    const { account } = sessionOf(ctx);
    const key = await apiKeys.findActive(account.id, ctx.params.id);
    ctx.body = views.render('account/replace-key', {
      csrfToken: csrf.tokenFor(ctx),
      key: toKeyRow(key, await placesOf(account.id, deps), clock.now()),
      graces: choices(
        GRACES.map((grace) => [String(grace), grace === 0 ? 'Revoke it now' : describeSpan(grace)]),
        String(DAY_SECONDS),
      ),
    });
  }

  async function replace(ctx: Context): Promise<void> {
    const { csrf: token, grace } = readForm(ctx, ReplaceForm);
    csrf.check(ctx, token);
    const { account } = sessionOf(ctx);
    renderKey(ctx, await apiKeys.rotate(account.id, ctx.params.id, Number(grace), ctx.state.meta), Number(grace));
  }

  /** Renders the response to the form itself. A redirect would have to store the key. */
  function renderKey(ctx: Context, { key, record }: FreshApiKey, graceSeconds?: number): void {
    const now = clock.now();
    ctx.status = 201;
    ctx.body = views.render('account/key-made', {
      csrfToken: csrf.tokenFor(ctx),
      name: record.name,
      key,
      ends: record.expiresAt ? describeExpiry(record.expiresAt, now) : undefined,
      oldKey: graceSeconds === undefined ? undefined : describeGrace(graceSeconds, now),
    });
  }
}

const idOf = ({ organizationId, projectId }: Place) => projectId ?? organizationId;

const choices = (pairs: (readonly [value: string, label: string])[], chosen: string): Choice[] =>
  pairs.map(([value, label]) => ({ value, label, selected: value === chosen }));

/** Defaults for absent fields, the same as in the JSON API. */
const formOf = (lives: number[], keySeconds: number) =>
  z
    .object({
      csrf: z.string(),
      name: field,
      place: field,
      role: z.enum(['', ...KEY_ROLES]).default(''),
      life: z.enum([...lives.map(String), NEVER]).default(String(keySeconds)),
    })
    .catchall(z.string())
    .transform(({ csrf, name, place, role, life, ...others }) => {
      const ticked = Object.keys(others).filter((other) => other.startsWith(TICK));
      return { csrf, name, place, role, life, scopes: ticked.map((other) => other.slice(TICK.length)) };
    });
type AuthorizationOptions = z.output<ReturnType<typeof formOf>>;

function describeGrace(seconds: number, now: Date): string {
  if (seconds === 0) return 'The old key no longer works.';
  return `The old key expires ${describeExpiry(addSeconds(now, seconds), now)} at the latest.`;
}

/** Assigns an error to the field that must change, if it is known. */
function errorOf({ code, message, fields }: AppError): { errors?: NewKeyErrors; problem?: string } {
  if (fields) return { errors: { name: fields.name, scopes: fields.scopes, place: fields.organization_id } };
  if (code === 'insufficient_role') return { errors: { role: message } };
  if (code === 'not_found') return { errors: { place: message } };
  return { problem: message };
}
