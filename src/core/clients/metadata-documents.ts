/**
 * Clients without registration: the client id is the URL of a document with the client's metadata
 * (OAuth Client ID Metadata Document, draft 02). Such clients are stored like others, so that their
 * tokens can be verified while the host is unavailable.
 */

import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Log } from '../../base/log.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { SafeFetch } from '../../base/safe-fetch.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { RequestMeta } from '../request-meta.js';
import type { Client, Clients } from './clients.js';
import { isDocumentUrl, type MetadataDocument, MetadataDocumentError, readDocument } from './metadata-document.js';
import type { ClientRegistration } from './registration.js';

interface Deps {
  clock: Clock;
  log: Log;
  fetch: SafeFetch;
  rateLimiter: RateLimiter;
  clients: Pick<Clients, 'find'>;
  clientRegistration: Pick<ClientRegistration, 'saveDescribed' | 'normalize'>;
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
const MAX_CONCURRENT_FETCHES = 20;
/** Limits new documents per network: each causes an outgoing request and can be stored. */
const NEW_DOCUMENT_LIMIT: Limit = { name: 'client-document', points: 60, seconds: HOUR_SECONDS };

export type MetadataDocuments = ReturnType<typeof createMetadataDocuments>;

export function createMetadataDocuments(deps: Deps) {
  const { clock, log, fetch, rateLimiter, clients, clientRegistration, enabled, allowLoopback } = deps;
  const cachedErrors = createTtlCache<MetadataDocumentError>({
    clock,
    maxAgeMs: ERROR_TTL_MS,
    maxEntries: MAX_CACHED_ERRORS,
  });
  const pendingFetches = new Map<string, Promise<Client>>();

  return { enabled, find };

  /**
   * Returns the client with this id. Fetches its document if the stored one is not fresh. Throws
   * `MetadataDocumentError` or `rate_limited`.
   */
  async function find(id: string, meta: RequestMeta): Promise<Client | undefined> {
    const stored = await clients.find(id);
    if (stored ? stored.origin !== 'document' : !isDocumentUrl(id, { allowLoopback })) return stored;
    if (!enabled) return undefined;
    if (stored?.documentFreshUntil && stored.documentFreshUntil > clock.now()) return stored;
    try {
      return await fetchOnce(id, stored, meta);
    } catch (error) {
      if (!(error instanceof MetadataDocumentError) || !stored || !canUseStale(stored, error)) throw error;
      log.info(
        { clientId: id, reason: error.message },
        "could not fetch a client's metadata document; using the stored one",
      );
      return stored;
    }
  }

  /**
   * Reports whether the stored client can be used although it is stale: only while the host is
   * unavailable, not if the document was removed or is invalid.
   */
  function canUseStale({ documentFreshUntil }: Client, error: MetadataDocumentError): boolean {
    return (
      error.isTemporary &&
      documentFreshUntil !== null &&
      addSeconds(documentFreshUntil, MAX_STALE_SECONDS) > clock.now()
    );
  }

  /** Fetches the document. Concurrent callers share one request. Errors are cached for 30 s. */
  async function fetchOnce(id: string, stored: Client | undefined, meta: RequestMeta): Promise<Client> {
    const cachedError = await cachedErrors.getOrLoad(id, async () => undefined);
    if (cachedError) throw cachedError;
    const pendingFetch = pendingFetches.get(id);
    if (pendingFetch) return pendingFetch;
    if (pendingFetches.size >= MAX_CONCURRENT_FETCHES)
      throw new MetadataDocumentError('too many client documents are being fetched; try again', true);
    const newFetch = fetchAndSave(id, stored, meta).finally(() => pendingFetches.delete(id));
    pendingFetches.set(id, newFetch);
    return newFetch;
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
