/**
 * How far a limit is spent, for programs that pace themselves
 * (draft-ietf-httpapi-ratelimit-headers, its three plain fields).
 */
import type { LimitState } from '../../base/app-error.js';
import type { Context } from './context.js';

export const limitHeaders = ({ limit, remaining, resetSeconds }: LimitState): Record<string, string> => ({
  'RateLimit-Limit': String(limit),
  'RateLimit-Remaining': String(remaining),
  'RateLimit-Reset': String(resetSeconds),
});

export function setLimitHeaders(ctx: Context, state: LimitState): void {
  ctx.set(limitHeaders(state));
}
