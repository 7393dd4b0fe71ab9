/** How far a limit is spent, for programs that pace themselves (draft-ietf-httpapi-ratelimit-headers, its three plain fields). */
import type { LimitState } from '../base/errors.js';
import type { Context } from './state.js';

export function tellLimit(ctx: Context, { limit, remaining, resetSeconds }: LimitState): void {
  ctx.set('RateLimit-Limit', String(limit));
  ctx.set('RateLimit-Remaining', String(remaining));
  ctx.set('RateLimit-Reset', String(resetSeconds));
}
