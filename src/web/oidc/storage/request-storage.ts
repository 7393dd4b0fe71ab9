/**
 * Bounds what requests without authentication can have stored: interactions, pushed authorization
 * requests, device codes, and sessions of oidc-provider for forms.
 */
import Provider, { type Adapter, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { AppError, withBound } from '../../../base/app-error.js';
import { HOUR_SECONDS } from '../../../base/clock.js';
import type { RequestBounds } from '../../../base/config/request-bounds.js';
import { networkKey } from '../../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../../base/rate-limiter.js';
import { metaFrom } from '../request-meta.js';
import { isUnverified } from './client-origin.js';
import { exceededLimit } from './limit-errors.js';

interface Deps {
  bounds: Pick<RequestBounds, 'storedBytes' | 'storedKilobytesPerHour'>;
  rateLimiter: RateLimiter;
}

type Upsert = Adapter['upsert'];

const KILOBYTE = 1024;
/** Long enough to fill in the form of the device page or of a logout. */
const ANONYMOUS_SESSION_SECONDS = HOUR_SECONDS;

export function createRequestStorage({ bounds, rateLimiter }: Deps) {
  const limit: Limit = { name: 'stored-requests', points: bounds.storedKilobytesPerHour, seconds: HOUR_SECONDS };

  return { bounded, boundedSession };

  /**
   * Wraps the `upsert` of a request. Throws `invalid_request` if the request is too large, and
   * `temporarily_unavailable` (429) if this network has had too much stored.
   */
  function bounded(upsert: Upsert): Upsert {
    return async function upsertBounded(id, payload, expiresIn) {
      if (bytesOf(payload) > bounds.storedBytes) {
        const error = new errors.InvalidRequest(`the request is larger than ${bounds.storedBytes} bytes`);
        throw withBound('MAX_STORED_REQUEST_BYTES', error);
      }
      const { ctx } = Provider;
      if (ctx && isAnonymous(ctx)) await consume(ctx, kilobytesOf(payload));
      await upsert(id, payload, expiresIn);
    };
  }

  /**
   * Wraps the `upsert` of a session. Each form creates one for its CSRF protection, also for a
   * visitor who is not signed in. Such a session counts like a request, and expires after an hour.
   */
  function boundedSession(upsert: Upsert): Upsert {
    return async function upsertSession(id, payload, expiresIn) {
      if (payload.accountId) return upsert(id, payload, expiresIn);
      const { ctx } = Provider;
      if (ctx) await consume(ctx, kilobytesOf(payload));
      await upsert(id, payload, Math.min(expiresIn ?? Infinity, ANONYMOUS_SESSION_SECONDS));
    };
  }

  async function consume(ctx: KoaContextWithOIDC, kilobytes: number): Promise<void> {
    try {
      await rateLimiter.consume(limit, networkKey(metaFrom(ctx).address), kilobytes);
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      const description = `this network has started more than ${bounds.storedKilobytesPerHour} kB of requests in an hour`;
      const tooMany = exceededLimit(ctx, { retryAfterSeconds: error.retryAfterSeconds, description, cause: error });
      throw withBound('MAX_STORED_KILOBYTES_PER_HOUR', tooMany);
    }
  }
}

const bytesOf = (payload: object) => Buffer.byteLength(JSON.stringify(payload));
const kilobytesOf = (payload: object) => Math.ceil(bytesOf(payload) / KILOBYTE);

/**
 * Reports whether neither a signed-in user nor an authenticated client of an administrator asks.
 */
function isAnonymous({ oidc }: KoaContextWithOIDC): boolean {
  if (oidc.session?.accountId) return false;
  return oidc.client?.clientAuthMethod === 'none' || oidc.route === 'authorization' || isUnverified(oidc.client ?? {});
}
