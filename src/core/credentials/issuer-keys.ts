/**
 * The public keys of an issuer elsewhere, found by its discovery document. An issuer that cannot be
 * reached is not missed as long as its keys are known: what was read stays good until something
 * newer could be read.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey, type LocalJWKSet } from 'jose';
import { upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { isSecureUrl } from '../../base/loopback.js';

interface Deps {
  issuer: string;
  ask: JsonClient;
  clock: Clock;
  log: Log;
}

/** A key that was withdrawn there is refused here after this time. */
const MAX_AGE_MS = 10 * MINUTE_SECONDS * SECOND_MS;
/** However many tokens with unknown keys there are, the issuer is asked this often. */
const REFETCH_INTERVAL_MS = 30 * SECOND_MS;
/** The same while nothing is known at all. */
const RETRY_AFTER_MS = 2 * SECOND_MS;

/**
 * Finds the key that a token says it is signed with. Refuses with `upstream_unavailable` while no
 * key of the issuer is known.
 */
export function createIssuerKeys({ issuer, ask, clock, log }: Deps): JWTVerifyGetKey {
  let known: { find: LocalJWKSet; readAt: number } | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<void> | undefined;

  return async function findKey(header, token) {
    if (!known) await refresh(RETRY_AFTER_MS);
    else if (now() - known.readAt > MAX_AGE_MS) void refresh(REFETCH_INTERVAL_MS); // whoever asks now need not wait
    if (!known) throw upstreamUnavailable('The keys of the issuer of this token are not known at the moment.');
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

  /** Reads the keys anew, unless that was tried a moment ago. Never rejects. */
  function refresh(notWithinMs: number): Promise<void> {
    if (reading) return reading;
    if (now() - askedAt < notWithinMs) return Promise.resolve();
    askedAt = now();
    reading = read()
      .then((find) => {
        known = { find, readAt: now() };
      })
      .catch((error) => log.warn({ error, issuer }, 'the keys of an issuer elsewhere cannot be read'))
      .finally(() => {
        reading = undefined;
      });
    return reading;
  }

  async function read(): Promise<LocalJWKSet> {
    const base = issuer.replace(/\/$/, '');
    const document = await readObject(`${base}/.well-known/openid-configuration`);
    if (document.issuer !== issuer) {
      throw upstreamInvalid(`OIDC_ISSUER is ${issuer}, but it calls itself ${String(document.issuer)}`);
    }
    const keysUrl = URL.parse(String(document.jwks_uri));
    if (!keysUrl || !isSecureUrl(keysUrl)) throw upstreamInvalid('its document leads to no keys');
    return createLocalJWKSet((await readObject(keysUrl.href)) as unknown as JSONWebKeySet);
  }

  async function readObject(url: string): Promise<Record<string, unknown>> {
    const { status, body } = await ask(url);
    if (status !== 200 || typeof body !== 'object' || body === null) {
      throw upstreamInvalid(`${url} answers ${status}, or no JSON`);
    }
    return body as Record<string, unknown>;
  }

  function now(): number {
    return clock.now().getTime();
  }
}
