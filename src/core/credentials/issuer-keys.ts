/**
 * The public keys of an external issuer, found through its discovery document. While the issuer is
 * unavailable, the last known keys stay in use.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, type LocalJWKSet } from 'jose';
import { upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { isSecureUrl } from '../../base/loopback.js';

interface Deps {
  issuer: string;
  requestJson: JsonClient;
  clock: Clock;
  log: Log;
}

/** The maximum age of the keys. A key that the issuer withdraws is rejected after this time. */
const MAX_AGE_MS = 10 * MINUTE_SECONDS * SECOND_MS;
/** The minimum interval between requests, however many tokens have unknown keys. */
const REFETCH_INTERVAL_MS = 30 * SECOND_MS;
/** The same while no keys are known. */
const RETRY_AFTER_MS = 2 * SECOND_MS;

/**
 * Returns a function that finds the key of a token. It throws `upstream_unavailable` while no keys
 * of the issuer are known.
 */
export function createIssuerKeys({ issuer, requestJson, clock, log }: Deps): JWTVerifyGetKey {
  let known: { find: LocalJWKSet; readAt: number } | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  return async function findKey(header, token) {
    if (!known) await refresh(RETRY_AFTER_MS);
    else if (now() - known.readAt > MAX_AGE_MS) void refresh(REFETCH_INTERVAL_MS); // in the background
    if (!known) throw upstreamUnavailable("The keys of this token's issuer are not available at the moment.");
    const before = known;
    try {
      return await before.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh(REFETCH_INTERVAL_MS);
      if (known === before) throw error;
      return known.find(header, token);
    }
  };

  /** Fetches the keys, unless that was tried within `notWithinMs`. Never rejects. */
  function refresh(notWithinMs: number): Promise<void> {
    if (reading) return reading;
    if (now() - askedAt < notWithinMs) return Promise.resolve();
    askedAt = now();
    reading = read()
      .then((find) => {
        known = { find, readAt: now() };
      })
      .catch((error) => log.warn({ error, issuer }, 'the keys of an external issuer cannot be fetched'))
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  async function read(): Promise<LocalJWKSet> {
    const base = issuer.replace(/\/$/, '');
    const document = await readObject(`${base}/.well-known/openid-configuration`);
    if (document.issuer !== issuer) {
      throw upstreamInvalid(`the discovery document of ${issuer} has the issuer ${String(document.issuer)}`);
    }
    const keysUrl = URL.parse(String(document.jwks_uri));
    if (!keysUrl || !isSecureUrl(keysUrl)) throw upstreamInvalid('its discovery document has no valid jwks_uri');
    return createLocalJWKSet((await readObject(keysUrl.href)) as unknown as JSONWebKeySet);
  }

  async function readObject(url: string): Promise<Record<string, unknown>> {
    const { status, body } = await requestJson(url);
    if (status !== 200 || typeof body !== 'object' || body === null) {
      throw upstreamInvalid(`${url} returned ${status}, or no JSON object`);
    }
    return body as Record<string, unknown>;
  }

  function now(): number {
    return clock.now().getTime();
  }
}
