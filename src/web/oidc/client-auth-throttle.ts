/**
 * Against guessing of client secrets: failures are counted, not attempts, for an honest gateway
 * asks hundreds of things at once.
 */

import { MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';

const WRONG_SECRETS: Limit = { name: 'client-authentication', points: 60, seconds: 5 * MINUTE_SECONDS };

export type ClientAuthThrottle = ReturnType<typeof createClientAuthThrottle>;

export function createClientAuthThrottle({ floods }: { floods: RateLimiter }) {
  return { keyFor, isExceeded, throwIfExceeded, count };

  /**
   * Another client behind the same address is counted apart, where its name stands in the header.
   */
  function keyFor(address: string, authorization: string | undefined): string {
    return `${rateLimitKey(address)} ${basicUser(authorization)}`;
  }

  function isExceeded(key: string): Promise<boolean> {
    return floods.isExceeded(WRONG_SECRETS, key);
  }

  /** Throws a 429 refusal. */
  function throwIfExceeded(key: string): Promise<void> {
    return floods.throwIfExceeded(WRONG_SECRETS, key);
  }

  /** Call it with the status when the request is answered. */
  async function count(key: string, status: number): Promise<void> {
    if (status === 401) await floods.consume(WRONG_SECRETS, key).catch(() => {}); // answered already
  }
}

/** The client that a Basic header names, shortened. */
function basicUser(authorization = ''): string {
  const [, encoded] = /^basic ([\w+/=]{1,400})$/i.exec(authorization) ?? [];
  return encoded ? (Buffer.from(encoded, 'base64').toString().split(':')[0] ?? '').slice(0, 100) : '';
}
