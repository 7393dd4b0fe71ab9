/** The public keys of a trusted external issuer, cached as in the kit. */
import type { JWTVerifyGetKey } from 'jose';
import { upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import { type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import type { JsonClient } from '../../base/http-client.js';
import type { Log } from '../../base/log.js';
import { IssuerUnavailable } from '../../kit/auth-error.js';
import { readKeySet } from '../../kit/issuer.js';
import { createIssuerKeys as createCachedKeys } from '../../kit/issuer-keys.js';

interface Deps {
  issuer: string;
  requestJson: JsonClient;
  clock: Clock;
  log: Log;
}

const REFRESH_AFTER_SECONDS = 10 * MINUTE_SECONDS;

/**
 * Returns a key resolver for `jwtVerify`. Requests never wait for a refresh of known keys, and
 * known keys stay in use while the issuer is down. The resolver throws `AppError`
 * `upstream_unavailable` while no key is known.
 */
export function createIssuerKeys({ issuer, requestJson, clock, log }: Deps): JWTVerifyGetKey {
  const findKey = createCachedKeys({
    issuer,
    read: () => readKeySet(issuer, readJson),
    refreshAfterSeconds: REFRESH_AFTER_SECONDS,
    waitAfterSeconds: Number.POSITIVE_INFINITY,
    onError: (error) => log.warn({ error, issuer }, 'the keys of an external issuer cannot be fetched'),
    now: () => clock.now().getTime(),
  });

  return async function findIssuerKey(header, token) {
    try {
      return await findKey(header, token);
    } catch (error) {
      if (!(error instanceof IssuerUnavailable)) throw error;
      throw upstreamUnavailable("The keys of this token's issuer are not available at the moment.");
    }
  };

  async function readJson(url: string): Promise<Record<string, unknown>> {
    const { status, body } = await requestJson(url);
    if (status === 200 && typeof body === 'object' && body !== null) return body as Record<string, unknown>;
    throw upstreamInvalid(`${url} returned ${status}, or no JSON object`);
  }
}
