/** The `RateLimit-*` fields of draft-ietf-httpapi-ratelimit-headers. */
import type { ServerResponse } from 'node:http';
import type { LimitState } from '../../base/app-error.js';

/** Returns the headers for this state of a rate limit. */
export const limitHeaders = ({ limit, remaining, resetSeconds }: LimitState): Record<string, string> => ({
  'RateLimit-Limit': String(limit),
  'RateLimit-Remaining': String(remaining),
  'RateLimit-Reset': String(resetSeconds),
});

/** Sets the headers for this state of a rate limit. */
export function setLimitHeaders(res: ServerResponse, { limit, remaining, resetSeconds }: LimitState): void {
  res.setHeader('RateLimit-Limit', String(limit));
  res.setHeader('RateLimit-Remaining', String(remaining));
  res.setHeader('RateLimit-Reset', String(resetSeconds));
}
