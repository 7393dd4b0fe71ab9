/** Lists and revokes a user's API keys. new-keys.ts creates them. */
import type Router from '@koa/router';
import { z } from 'zod';
import type { Clock } from '../../base/clock.js';
import type { ApiKey } from '../../core/api-keys/api-keys.js';
import type { Core } from '../../core/core.js';
import { parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { describeAge } from '../pages/format.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import { placesOf, toKeyRow } from './key-rows.js';
import type { AccountPages } from './view-models.js';

interface Deps extends Pick<Core, 'apiKeys' | 'organizations' | 'projects'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

export const KEYS_PAGE = '/account/keys';
const MAX_ENDED = 20;
const RevokeForm = z.object({ csrf: z.string() });
const NOTICES: Record<string, string | undefined> = {
  revoked: 'The key was revoked and no longer works.',
};

export function addKeys(router: Router<State>, deps: Deps): void {
  const { apiKeys, clock, csrf, guards, views } = deps;
  const { requireLogin } = guards;
  router.get(KEYS_PAGE, requireLogin, show);
  router.get(`${KEYS_PAGE}/:id/revoke`, requireLogin, confirm);
  // Requires no recent authentication, like the API: a user who sees a suspicious key must be able
  // to revoke it immediately.
  router.post(`${KEYS_PAGE}/:id/revoke`, requireLogin, parseForm, revoke);

  async function show(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const places = await placesOf(accountId, deps);
    const now = clock.now();
    const all = await apiKeys.list(accountId);
    const ended = all.filter((key) => !apiKeys.isActive(key)).sort((a, b) => endOf(b).getTime() - endOf(a).getTime());
    ctx.body = views.render('account/keys', {
      csrfToken: csrf.tokenFor(ctx),
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
      keys: all.filter(apiKeys.isActive).map((key) => toKeyRow(key, places, now)),
      ended: ended.slice(0, MAX_ENDED).map((key) => {
        const { name, hint, place } = toKeyRow(key, places, now);
        return { name, hint, place, how: key.revokedAt ? 'Revoked' : 'Expired', since: describeAge(endOf(key), now) };
      }),
    });
  }

  async function confirm(ctx: Context): Promise<void> {
    const { id: accountId } = sessionOf(ctx).account;
    const key = await apiKeys.findActive(accountId, ctx.params.id);
    ctx.body = views.render('account/revoke-key', {
      csrfToken: csrf.tokenFor(ctx),
      key: toKeyRow(key, await placesOf(accountId, deps), clock.now()),
    });
  }

  async function revoke(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, RevokeForm).csrf);
    await apiKeys.revoke(sessionOf(ctx).account.id, ctx.params.id, ctx.state.meta);
    seeOther(ctx, `${KEYS_PAGE}?notice=revoked`);
  }
}

/** Returns when a revoked or expired key stopped working. */
const endOf = ({ revokedAt, expiresAt }: ApiKey) => revokedAt ?? expiresAt!;
