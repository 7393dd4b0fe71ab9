/**
 * Limits failed client authentications, so that client secrets cannot be guessed. Counts failures
 * and not requests, because a busy gateway legitimately sends hundreds at once.
 */

import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { RateLimiter } from '../../base/rate-limiter.js';

const FAILURE_LIMIT = LIMITS['client-authentication'];

export type ClientAuthThrottle = ReturnType<typeof createClientAuthThrottle>;

export function createClientAuthThrottle({ processRateLimiter }: { processRateLimiter: RateLimiter }) {
  return { keyFor, throwIfExceeded, countFailure };

  /**
   * Returns the key of a counter: the IP address and, if a Basic header names one, the client. The
   * failures of one client do not block another client at the same address.
   */
  function keyFor(address: string, authorization: string | undefined): string {
    return `${rateLimitKey(address)} ${basicClientId(authorization)}`;
  }

  /** Throws `AppError` 429 if the limit is exceeded. */
  function throwIfExceeded(key: string): Promise<void> {
    return processRateLimiter.throwIfExceeded(FAILURE_LIMIT, key);
  }

  /** Counts a response with status 401. */
  async function countFailure(key: string, status: number): Promise<void> {
    // The response has been sent, so an exceeded limit takes effect with the next request.
    if (status === 401) await processRateLimiter.consume(FAILURE_LIMIT, key).catch(() => {});
  }
}

/** Returns the client id of a Basic header, cut to 100 characters. Empty without one. */
function basicClientId(authorization = ''): string {
  const [, encoded] = /^basic ([\w+/=]{1,400})$/i.exec(authorization) ?? [];
  return encoded ? (Buffer.from(encoded, 'base64').toString().split(':')[0] ?? '').slice(0, 100) : '';
}
