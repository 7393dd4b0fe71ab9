/** The keys that Signet signs with, as far as a service knows them. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { discover, type IssuerOptions, readDocument, secureUrl } from './issuer.js';
import { IssuerUnavailable } from './refusal.js';
import { canShareRequests } from './runtime.js';

export interface KeyOptions extends IssuerOptions {
  /** Keys older than this are read again in the background. */
  refreshAfterSeconds: number;
  /** So long they serve while the issuer cannot be reached. Then nobody is let in: 503. */
  keepForSeconds: number;
}

interface Known {
  find: ReturnType<typeof createLocalJWKSet>;
  readAt: number;
}

/**
 * However many tokens with unknown keys there are, the issuer is asked this often; and while
 * nothing is known, this often.
 */
const REFETCH_INTERVAL_MS = 30_000;
const RETRY_AFTER_MS = 2000;

/**
 * Finds the key that a token says it is signed with. A key that is not known yet is asked for, at
 * most every 30 s, and whoever comes meanwhile waits for the same answer, or asks as well where
 * requests may not wait for each other. A key that was withdrawn is refused after twice
 * `refreshAfterSeconds` at the latest.
 */
export function createIssuerKeys(options: KeyOptions): JWTVerifyGetKey {
  const { fetch: ask = fetch, now = Date.now } = options;
  const [refreshAfterMs, keepForMs] = [options.refreshAfterSeconds * 1000, options.keepForSeconds * 1000];
  let known: Known | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  let failure: unknown;
  const together = canShareRequests();

  return async function findKey(header, token) {
    const before = await freshEnough();
    try {
      return await before.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh(REFETCH_INTERVAL_MS);
      if (!known || known === before) throw error;
      return known.find(header, token);
    }
  };

  async function freshEnough(): Promise<Known> {
    const age = known ? since(known.readAt) : Number.POSITIVE_INFINITY;
    if (age > keepForMs) await refresh(RETRY_AFTER_MS);
    else if (age > 2 * refreshAfterMs) await refresh(REFETCH_INTERVAL_MS);
    else if (age > refreshAfterMs && !asking) {
      const refreshed = refresh(REFETCH_INTERVAL_MS);
      if (!together) await refreshed; // else whoever asks now need not wait
    }
    if (!known || since(known.readAt) > keepForMs) {
      throw new IssuerUnavailable(`The keys of ${options.issuer} are not known`, { cause: failure });
    }
    return known;
  }

  /** Reads the keys anew, unless that was tried a moment ago. Never rejects. */
  function refresh(notWithinMs: number): Promise<void> {
    if (asking && together) return asking;
    if (!asking && since(askedAt) < notWithinMs) return Promise.resolve();
    askedAt = now();
    asking = read()
      .then(
        (read) => {
          known = read;
        },
        (error) => {
          failure = error;
        },
      )
      .finally(() => {
        asking = undefined;
      });
    return asking;
  }

  /** Also of a clock that was put back. */
  function since(time: number): number {
    return Math.abs(now() - time);
  }

  async function read(): Promise<Known> {
    const document = await discover(options);
    const jwks = await readDocument(secureUrl(String(document.jwks_uri)), ask);
    return { find: createLocalJWKSet(jwks as unknown as JSONWebKeySet), readAt: now() };
  }
}
