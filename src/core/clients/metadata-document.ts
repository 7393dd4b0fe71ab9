/**
 * The document in which a client describes itself: where it may be, how it is read, and what it
 * must hold.
 */

import { isLoopback } from '../../base/loopback.js';
import type { SafeFetch } from '../../base/safe-fetch.js';
import type { Clients } from './clients.js';
import { type ClientMetadata, MetadataError } from './metadata.js';

export interface Document {
  metadata: ClientMetadata;
  /** What its host says of caching, if anything. */
  maxAgeSeconds: number | undefined;
}

/** Why there is no such client: a sentence for whoever sees the error page. */
export class MetadataDocumentError extends Error {
  constructor(
    message: string,
    /** The host does not answer, or not now; the document may be as good as ever. */
    readonly passing = false,
  ) {
    super(message);
  }
}

const MAX_ADDRESS_LENGTH = 1000;
const MAX_BYTES = 5 * 1024;
/** Nobody else's secret can be known to us: only methods without one. */
const AUTH_METHODS = ['none', 'private_key_jwt'];
/** What we take of a document; the rest is not stored. */
const MEMBERS = [
  'application_type',
  'client_name',
  'client_uri',
  'contacts',
  'dpop_bound_access_tokens',
  'grant_types',
  'id_token_signed_response_alg',
  'jwks',
  'jwks_uri',
  'logo_uri',
  'policy_uri',
  'post_logout_redirect_uris',
  'redirect_uris',
  'response_types',
  'scope',
  'token_endpoint_auth_signing_alg',
  'tos_uri',
];

/**
 * Whether an id is the address of a document: https with a path, spelt in the one way that browsers
 * have, without a fragment.
 */
export function isDocumentAddress(id: string, { allowLoopback = false } = {}): boolean {
  if (id.length > MAX_ADDRESS_LENGTH || !/^https?:/.test(id)) return false;
  const url = URL.parse(id);
  if (!url || url.href !== id || url.pathname === '/' || url.username || url.password || id.includes('#')) return false;
  return url.protocol === 'https:' || (allowLoopback && isLoopback(url.hostname));
}

interface Deps {
  fetch: SafeFetch;
  settle: Clients['normalize'];
}

/** Throws a DocumentFault. */
export async function readDocument(id: string, { fetch, settle }: Deps): Promise<Document> {
  const { text, maxAgeSeconds } = await load(id, fetch);
  const given = parse(text);
  if (given.client_id !== id) throw new MetadataDocumentError('its client_id is not the address that it was read from');
  if ('client_secret' in given || 'client_secret_expires_at' in given) {
    throw new MetadataDocumentError('it holds a client_secret, which everybody can read');
  }
  const method = given.token_endpoint_auth_method ?? 'none';
  if (!AUTH_METHODS.includes(method as string)) {
    throw new MetadataDocumentError(`its token_endpoint_auth_method must be ${AUTH_METHODS.join(' or ')}`);
  }
  if (typeof given.client_name !== 'string') throw new MetadataDocumentError('its client_name is missing');
  const known = Object.fromEntries(Object.entries(given).filter(([name]) => MEMBERS.includes(name)));
  const metadata = { ...known, token_endpoint_auth_method: method };
  try {
    return {
      metadata: { ...metadata, ...settle(metadata, { anonymous: true, home: new URL(id).origin }) },
      maxAgeSeconds,
    };
  } catch (error) {
    throw error instanceof MetadataError ? new MetadataDocumentError(error.message) : error;
  }
}

async function load(id: string, fetch: SafeFetch) {
  try {
    const response = await fetch(id, { headers: { accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new MetadataDocumentError(
        `its host answers ${response.status}`,
        response.status >= 500 || response.status === 429,
      );
    }
    if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(response.headers.get('content-type') ?? '')) {
      await response.body?.cancel();
      throw new MetadataDocumentError('it is not served as JSON');
    }
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body ?? []) {
      length += chunk.length;
      if (length > MAX_BYTES) throw new MetadataDocumentError(`it is longer than ${MAX_BYTES} bytes`); // leaving the loop cancels the rest
      chunks.push(chunk);
    }
    return { text: Buffer.concat(chunks).toString(), maxAgeSeconds: maxAgeOf(response.headers.get('cache-control')) };
  } catch (error) {
    // Whether the host is down, private, redirects or takes too long is nobody's business: it would
    // tell about our network.
    throw error instanceof MetadataDocumentError ? error : new MetadataDocumentError('it cannot be read', true);
  }
}

/** What it says: a member that is null says nothing. */
function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  } catch {
    // told below
  }
  throw new MetadataDocumentError('it is no JSON object');
}

function maxAgeOf(cacheControl: string | null): number | undefined {
  if (/(^|[,\s])no-(store|cache)\b/i.test(cacheControl ?? '')) return 0;
  const [, seconds] = /(?:^|[,\s])max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl ?? '') ?? [];
  return seconds === undefined ? undefined : Number(seconds);
}
