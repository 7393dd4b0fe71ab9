/**
 * Clients that nobody registers: their id is the address of a document in which they describe
 * themselves (OAuth Client ID Metadata Document, draft 02). What was read stays in the store as a
 * client like others, so that its tokens can be judged without its host.
 */

import { addSeconds, type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Log } from '../../base/log.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { SafeFetch } from '../../base/safe-fetch.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { RequestMeta } from '../request-meta.js';
import type { Client, Clients } from './clients.js';
import { type Document, isDocumentAddress, MetadataDocumentError, readDocument } from './metadata-document.js';

interface Deps {
  clock: Clock;
  log: Log;
  fetch: SafeFetch;
  rateLimiter: RateLimiter;
  clients: Pick<Clients, 'find' | 'saveDescribed' | 'normalize'>;
  enabled: boolean;
  /** For development: documents on this machine, over http. */
  allowLoopback: boolean;
}

/** Whatever its host says of caching, within these bounds. */
const FRESH_AT_LEAST_SECONDS = 5 * MINUTE_SECONDS;
const FRESH_AT_MOST_SECONDS = DAY_SECONDS;
/** While its host is down, an app that was known goes on for so long. */
const STALE_SECONDS = DAY_SECONDS;
const FAILURE_TTL_MS = 30_000;
const MAX_FAILURES = 1000;
const MAX_CONCURRENT = 20;
/**
 * From one network, of documents that were never read before: each makes us ask somewhere, and may
 * be stored.
 */
const NEW_DOCUMENT_LIMIT: Limit = { name: 'client-document', points: 60, seconds: HOUR_SECONDS };

export type MetadataDocuments = ReturnType<typeof createMetadataDocuments>;

export function createMetadataDocuments({ clock, log, fetch, rateLimiter, clients, enabled, allowLoopback }: Deps) {
  const errors = createTtlCache<MetadataDocumentError>({ clock, maxAgeMs: FAILURE_TTL_MS, maxEntries: MAX_FAILURES });
  const reading = new Map<string, Promise<Client>>();

  return { enabled, find };

  /**
   * The client of this id, its document read anew where it is due. Throws a DocumentFault, or a 429
   * refusal.
   */
  async function find(id: string, meta: RequestMeta): Promise<Client | undefined> {
    const known = await clients.find(id);
    if (known ? known.origin !== 'document' : !isDocumentAddress(id, { allowLoopback })) return known;
    if (!enabled) return undefined;
    if (known?.documentFreshUntil && known.documentFreshUntil > clock.now()) return known;
    try {
      return await readOnce(id, known, meta);
    } catch (error) {
      if (!(error instanceof MetadataDocumentError) || !known || !canUseStale(known, error)) throw error;
      log.info(
        { clientId: id, reason: error.message },
        "a client's document cannot be read: it goes on with the old one",
      );
      return known;
    }
  }

  /** A host that is down ends no app; a document that is gone, or says other things, does. */
  function canUseStale({ documentFreshUntil }: Client, problem: MetadataDocumentError): boolean {
    return (
      problem.passing && documentFreshUntil !== null && addSeconds(documentFreshUntil, STALE_SECONDS) > clock.now()
    );
  }

  /**
   * Whoever asks while it is being read waits for the same answer; what went wrong is not tried
   * again at once.
   */
  async function readOnce(id: string, known: Client | undefined, meta: RequestMeta): Promise<Client> {
    const problem = await errors.getOrLoad(id, async () => undefined);
    if (problem) throw problem;
    const running = reading.get(id);
    if (running) return running;
    if (reading.size >= MAX_CONCURRENT)
      throw new MetadataDocumentError('too many apps are being looked up; try again', true);
    const begun = refetch(id, known, meta).finally(() => reading.delete(id));
    reading.set(id, begun);
    return begun;
  }

  async function refetch(id: string, known: Client | undefined, meta: RequestMeta): Promise<Client> {
    if (!known) await rateLimiter.consume(NEW_DOCUMENT_LIMIT, rateLimitKey(meta.address));
    try {
      const document = await readDocument(id, { fetch, settle: clients.normalize });
      return await clients.saveDescribed(id, document.metadata, freshUntil(document), meta);
    } catch (error) {
      if (error instanceof MetadataDocumentError) await errors.getOrLoad(id, async () => error);
      throw error;
    }
  }

  function freshUntil({ maxAgeSeconds = HOUR_SECONDS }: Document): Date {
    const seconds = Math.min(FRESH_AT_MOST_SECONDS, Math.max(FRESH_AT_LEAST_SECONDS, maxAgeSeconds));
    return addSeconds(clock.now(), seconds);
  }
}
