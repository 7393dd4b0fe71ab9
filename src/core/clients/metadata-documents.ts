/**
 * Clients without registration: the client id is the URL of a document with the client's metadata
 * (OAuth Client ID Metadata Document, draft 02). Such clients are stored like others, so that their
 * tokens can be verified while the host is unavailable.
 */

import { withBound } from '../../base/app-error.js';
import type { Background } from '../../base/background.js';
import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { RequestBounds } from '../../base/config/request-bounds.js';
import { networkKey, rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { Log } from '../../base/log.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { SafeFetch } from '../../base/safe-fetch.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Client, Clients } from './clients.js';
import { isDocumentUrl, type MetadataDocument, MetadataDocumentError, readDocument } from './metadata-document.js';
import type { ClientRegistration } from './registration.js';

interface Deps {
  clock: Clock;
  log: Log;
  background: Background;
  fetch: SafeFetch;
  rateLimiter: RateLimiter;
  clients: Pick<Clients, 'find'>;
  clientRegistration: Pick<ClientRegistration, 'saveDescribed' | 'expireDescribed' | 'normalize'>;
  bounds: Pick<RequestBounds, 'documentFetches' | 'documentFetchesPerKey'>;
  enabled: boolean;
  /** For development: accept documents on loopback hosts, over http. */
  allowLoopback: boolean;
}

/** The limits within which `max-age` is respected. */
const MIN_FRESH_SECONDS = 5 * MINUTE_SECONDS;
const MAX_FRESH_SECONDS = DAY_SECONDS;
/** The time for which a stale client can be used while its host is unavailable. */
const MAX_STALE_SECONDS = DAY_SECONDS;
const ERROR_TTL_MS = 30_000;
const MAX_CACHED_ERRORS = 1000;
/** Limits new documents per network: each causes an outgoing request and can be stored. */
const NEW_DOCUMENT_LIMIT = LIMITS['client-document'];

export type MetadataDocuments = ReturnType<typeof createMetadataDocuments>;

export function createMetadataDocuments(deps: Deps) {
  const { clock, log, background, fetch, rateLimiter, clients, clientRegistration, bounds, enabled, allowLoopback } =
    deps;
  const cachedErrors = createTtlCache<MetadataDocumentError>({
    clock,
    maxAgeMs: ERROR_TTL_MS,
    maxEntries: MAX_CACHED_ERRORS,
  });
  const pendingFetches = new Map<string, Promise<Client>>();
  const slots = createSlots({ total: bounds.documentFetches, perKey: bounds.documentFetchesPerKey });

  return { enabled, find };

  /**
   * Returns the client with this id. Fetches its document if none is stored. A stale document is
   * returned at once and fetched again in the background, for at most a day. Throws
   * `MetadataDocumentError` or `rate_limited`.
   */
  async function find(id: string, meta: RequestMeta): Promise<Client | undefined> {
    const stored = await clients.find(id);
    if (stored ? stored.origin !== 'document' : !isDocumentUrl(id, { allowLoopback })) return stored;
    if (!enabled) return undefined;
    if (stored?.documentFreshUntil && stored.documentFreshUntil > clock.now()) return stored;
    if (!stored || !canUseStale(stored)) return fetchOnce(id, stored, meta);
    background.run('refresh a metadata document', () => refresh(id, stored, meta));
    return stored;
  }

  function canUseStale({ documentFreshUntil }: Client): boolean {
    return documentFreshUntil !== null && addSeconds(documentFreshUntil, MAX_STALE_SECONDS) > clock.now();
  }

  /** Fetches a stale document again. If it was removed or is invalid, the client is disabled. */
  async function refresh(id: string, stored: Client, meta: RequestMeta): Promise<void> {
    try {
      await fetchOnce(id, stored, meta);
    } catch (error) {
      if (!(error instanceof MetadataDocumentError)) throw error;
      log.info({ clientId: id, reason: error.message }, "could not fetch a client's metadata document");
      if (!error.isTemporary) await clientRegistration.expireDescribed(id);
    }
  }

  /** Fetches the document. Concurrent callers share one request. Errors are cached for 30 s. */
  async function fetchOnce(id: string, stored: Client | undefined, meta: RequestMeta): Promise<Client> {
    const cachedError = await cachedErrors.getOrLoad(id, async () => undefined);
    if (cachedError) throw cachedError;
    const pendingFetch = pendingFetches.get(id);
    if (pendingFetch) return pendingFetch;
    const newFetch = slots.run([new URL(id).host, networkKey(meta.address)], () => fetchAndSave(id, stored, meta));
    pendingFetches.set(id, newFetch);
    return newFetch.finally(() => pendingFetches.delete(id));
  }

  async function fetchAndSave(id: string, stored: Client | undefined, meta: RequestMeta): Promise<Client> {
    if (!stored) await rateLimiter.consume(NEW_DOCUMENT_LIMIT, rateLimitKey(meta.address));
    try {
      const document = await readDocument(id, { fetch, normalize: clientRegistration.normalize });
      return await clientRegistration.saveDescribed(id, document.metadata, freshUntil(document), meta);
    } catch (error) {
      if (error instanceof MetadataDocumentError) await cachedErrors.getOrLoad(id, async () => error);
      throw error;
    }
  }

  function freshUntil({ maxAgeSeconds = HOUR_SECONDS }: MetadataDocument): Date {
    const seconds = Math.min(MAX_FRESH_SECONDS, Math.max(MIN_FRESH_SECONDS, maxAgeSeconds));
    return addSeconds(clock.now(), seconds);
  }
}

const busyError = (bound: string, message: string) =>
  withBound(bound, new MetadataDocumentError(`${message}; try again in a moment`, true));

/** Limits how many jobs run at the same time, in all and for each key. */
function createSlots({ total, perKey }: { total: number; perKey: number }) {
  const running = new Map<string, number>();
  let count = 0;

  return { run };

  /** Runs the job now. Throws a temporary `MetadataDocumentError` if there is no slot. */
  async function run<Result>(keys: string[], job: () => Promise<Result>): Promise<Result> {
    if (count >= total) throw busyError('MAX_DOCUMENT_FETCHES', `the server fetches ${total} documents`);
    if (keys.some((key) => (running.get(key) ?? 0) >= perKey)) {
      const message = `the server fetches ${perKey} documents for this network or from this host`;
      throw busyError('MAX_DOCUMENT_FETCHES_PER_NETWORK', message);
    }
    change(keys, 1);
    try {
      return await job();
    } finally {
      change(keys, -1);
    }
  }

  function change(keys: string[], by: 1 | -1): void {
    count += by;
    for (const key of keys) {
      const ofKey = (running.get(key) ?? 0) + by;
      if (ofKey > 0) running.set(key, ofKey);
      else running.delete(key);
    }
  }
}
