/**
 * Finds the key that signed a token among the public keys of its issuer (JWKS). Known keys stay in
 * use while the issuer is down. jose's `createRemoteJWKSet` discards them when they are too old,
 * and it needs the URL of the keys in advance.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { IssuerUnavailable } from './auth-error.js';
import { canShareRequests } from './runtime.js';

export interface KeyOptions {
  issuer: string;
  /** Fetches the current keys. */
  read(): Promise<JSONWebKeySet>;
  /** Age from which keys are fetched again in the background. */
  refreshAfterSeconds: number;
  /** Age from which a token waits until keys are fetched. Default: twice `refreshAfterSeconds`. */
  waitAfterSeconds?: number;
  /** How long keys are used while the issuer cannot be reached. Default: without limit. */
  keepForSeconds?: number;
  /** Called for each failed fetch. */
  onError?(error: unknown): void;
  now?: () => number;
}

interface KeySet {
  find: ReturnType<typeof createLocalJWKSet>;
  fetchedAt: number;
}

/** Minimum time between two fetches, even if many tokens name an unknown key. */
const REFETCH_INTERVAL_MS = 30_000;
/** Minimum time between two fetches while no key is known. */
const RETRY_INTERVAL_MS = 2000;

/**
 * Returns a key resolver for `jwtVerify`. An unknown key is looked up at the issuer, and concurrent
 * callers share the fetch if the runtime allows it. A key that the issuer withdrew is rejected
 * after `waitAfterSeconds` at the latest. The resolver rejects with `IssuerUnavailable` while no
 * key is known.
 */
export function createIssuerKeys(options: KeyOptions): JWTVerifyGetKey {
  const { issuer, read, onError, now = Date.now } = options;
  const { refreshAfterSeconds, waitAfterSeconds = 2 * refreshAfterSeconds } = options;
  const keepForMs = (options.keepForSeconds ?? Number.POSITIVE_INFINITY) * 1000;
  const sharesRequests = canShareRequests();
  let currentKeys: KeySet | undefined;
  let lastAttemptAt = Number.NEGATIVE_INFINITY;
  let pendingFetch: Promise<void> | undefined;
  let lastError: unknown;

  return async function findKey(header, token) {
    const keys = await usableKeys();
    try {
      return await keys.find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await refresh(REFETCH_INTERVAL_MS);
      if (!currentKeys || currentKeys === keys) throw error;
      return currentKeys.find(header, token);
    }
  };

  async function usableKeys(): Promise<KeySet> {
    const ageMs = currentKeys ? elapsedMs(currentKeys.fetchedAt) : Number.POSITIVE_INFINITY;
    if (!currentKeys || ageMs > keepForMs) await refresh(RETRY_INTERVAL_MS);
    else if (ageMs > waitAfterSeconds * 1000) await refresh(REFETCH_INTERVAL_MS);
    else if (ageMs > refreshAfterSeconds * 1000 && !pendingFetch) {
      const pendingRefresh = refresh(REFETCH_INTERVAL_MS);
      // On an edge runtime, a background fetch is canceled when this request ends.
      if (!sharesRequests) await pendingRefresh;
    }
    if (!currentKeys || elapsedMs(currentKeys.fetchedAt) > keepForMs) {
      throw new IssuerUnavailable(`The keys of ${issuer} are not available`, { cause: lastError });
    }
    return currentKeys;
  }

  /** Fetches the keys, unless the last attempt was within this interval. Never rejects. */
  function refresh(intervalMs: number): Promise<void> {
    if (pendingFetch && sharesRequests) return pendingFetch;
    if (!pendingFetch && elapsedMs(lastAttemptAt) < intervalMs) return Promise.resolve();
    lastAttemptAt = now();
    pendingFetch = fetchKeys().finally(() => {
      pendingFetch = undefined;
    });
    return pendingFetch;
  }

  async function fetchKeys(): Promise<void> {
    try {
      currentKeys = { find: createLocalJWKSet(await read()), fetchedAt: now() };
    } catch (error) {
      lastError = error;
      onError?.(error);
    }
  }

  /** Returns a positive time even if the clock was set back. */
  function elapsedMs(since: number): number {
    return Math.abs(now() - since);
  }
}
