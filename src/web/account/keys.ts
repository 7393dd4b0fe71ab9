/** Lists and revokes a user's API keys. new-keys.ts creates and replaces them. */

import type Router from '@koa/router';
import { z } from 'zod';
import type { Clock } from '../../base/clock.js';
import { FIRST_PAGE } from '../../base/paging.js';
import type { ApiKey } from '../../core/api-keys/api-keys.js';
import type { Core } from '../../core/core.js';
import { parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { describeAge } from '../pages/format.js';
import { nextPageUrl, pageOf } from '../pages/paging.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import { findOrganizationsAndProjects, type OrganizationOrProject, toKeyView } from './key-view-models.js';
import type { AccountPages, InactiveKeyView } from './view-models.js';

interface Deps extends Pick<Core, 'apiKeys' | 'organizations' | 'projects'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

export const KEYS_PATH = '/account/keys';
/** The number of revoked and expired keys on the page, latest first. */
const MAX_INACTIVE_SHOWN = 20;
const RevokeForm = z.object({ csrf: z.string() });
/** Notices by the value of `?notice=`. */
const NOTICES: Record<string, string | undefined> = {
  revoked: 'The key was revoked and no longer works.',
};

/** Adds the routes of these pages. */
export function addApiKeys(router: Router<State>, deps: Deps): void {
  const { apiKeys, clock, csrf, guards, views } = deps;
  const { requireLogin } = guards;
  router.get(KEYS_PATH, requireLogin, show);
  router.get(`${KEYS_PATH}/:id/revoke`, requireLogin, confirmRevocation);
  // Requires no recent authentication, like the API: a user who sees a suspicious key must be able
  // to revoke it immediately.
  router.post(`${KEYS_PATH}/:id/revoke`, requireLogin, parseForm, revoke);

  async function show(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const now = clock.now();
    const active = await apiKeys.list(accountId, pageOf(ctx), 'active');
    const { items: inactive } = await apiKeys.list(accountId, FIRST_PAGE, 'inactive');
    inactive.sort((a, b) => inactiveSince(b).getTime() - inactiveSince(a).getTime());
    const shownInactive = inactive.slice(0, MAX_INACTIVE_SHOWN);
    const available = await findOrganizationsAndProjects(accountId, [...active.items, ...shownInactive], deps);
    ctx.body = views.render('account/keys', {
      csrfToken: csrf.tokenFor(ctx),
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
      keys: active.items.map((key) => toKeyView(key, available, now)),
      more: nextPageUrl(active, KEYS_PATH),
      inactiveKeys: shownInactive.map((key) => toInactiveKeyView(key, available, now)),
    });
  }

  async function confirmRevocation(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const key = await apiKeys.findActive(accountId, ctx.params.id);
    ctx.body = views.render('account/revoke-key', {
      csrfToken: csrf.tokenFor(ctx),
      key: toKeyView(key, await findOrganizationsAndProjects(accountId, [key], deps), clock.now()),
    });
  }

  async function revoke(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, RevokeForm).csrf);
    await apiKeys.revoke(sessionOf(ctx).account.id, ctx.params.id, ctx.state.meta);
    seeOther(ctx, `${KEYS_PATH}?notice=revoked`);
  }
}

function toInactiveKeyView(key: ApiKey, available: OrganizationOrProject[], now: Date): InactiveKeyView {
  const { name, maskedKey, limitedTo } = toKeyView(key, available, now);
  const status = key.revokedAt ? 'Revoked' : 'Expired';
  return { name, maskedKey, limitedTo, status, since: describeAge(inactiveSince(key), now) };
}

/** Returns when a key was revoked or expired. */
const inactiveSince = ({ revokedAt, expiresAt }: ApiKey) => revokedAt ?? expiresAt!;
