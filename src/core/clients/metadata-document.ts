/** Client ID Metadata Documents (OAuth draft 02): allowed URLs, fetching and validation. */

import type { SafeFetch } from '../../base/safe-fetch.js';
import { isLoopback } from '../../kit/loopback.js';
import { type ClientMetadata, MetadataError } from './metadata.js';
import type { ClientRegistration } from './registration.js';

export interface MetadataDocument {
  metadata: ClientMetadata;
  /** The `max-age` of its `Cache-Control`, if any. */
  maxAgeSeconds: number | undefined;
}

/** The reason why a document cannot be used. The error page shows it. */
export class MetadataDocumentError extends Error {
  constructor(
    message: string,
    /** Whether the host is unavailable. The stored document can still be valid. */
    readonly isTemporary = false,
  ) {
    super(message);
  }
}

const MAX_URL_LENGTH = 1000;
const MAX_DOCUMENT_BYTES = 5 * 1024;
/** Only methods without a shared secret, because the document is public. */
const AUTH_METHODS = ['none', 'private_key_jwt'];
/** The members that are stored. Others are ignored. */
const SUPPORTED_MEMBERS = [
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
 * Reports whether a client id is the URL of a document: https, normalized, with a path, and without
 * credentials or fragment.
 */
export function isDocumentUrl(id: string, { allowLoopback = false } = {}): boolean {
  if (id.length > MAX_URL_LENGTH || !/^https?:/.test(id)) return false;
  const url = URL.parse(id);
  if (!url || url.href !== id || url.pathname === '/' || url.username || url.password || id.includes('#')) return false;
  return url.protocol === 'https:' || (allowLoopback && isLoopback(url.hostname));
}

interface Deps {
  fetch: SafeFetch;
  normalize: ClientRegistration['normalize'];
}

/** Fetches and validates the document at this client id. Throws `MetadataDocumentError`. */
export async function readDocument(id: string, { fetch, normalize }: Deps): Promise<MetadataDocument> {
  const { text, maxAgeSeconds } = await fetchDocument(id, fetch);
  const members = parseMembers(text);
  if (members.client_id !== id) throw new MetadataDocumentError('its client_id is not the URL of the document');
  if ('client_secret' in members || 'client_secret_expires_at' in members) {
    throw new MetadataDocumentError('it contains a client_secret, but the document is public');
  }
  const method = members.token_endpoint_auth_method ?? 'none';
  if (!AUTH_METHODS.includes(method as string)) {
    throw new MetadataDocumentError(`its token_endpoint_auth_method must be ${AUTH_METHODS.join(' or ')}`);
  }
  if (typeof members.client_name !== 'string') throw new MetadataDocumentError('its client_name is missing');
  const supportedMembers = Object.fromEntries(
    Object.entries(members).filter(([name]) => SUPPORTED_MEMBERS.includes(name)),
  );
  const metadata = { ...supportedMembers, token_endpoint_auth_method: method };
  try {
    return {
      metadata: { ...metadata, ...normalize(metadata, { anonymous: true, home: new URL(id).origin }) },
      maxAgeSeconds,
    };
  } catch (error) {
    throw error instanceof MetadataError ? new MetadataDocumentError(error.message) : error;
  }
}

async function fetchDocument(id: string, fetch: SafeFetch) {
  try {
    const response = await fetch(id, { headers: { accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new MetadataDocumentError(
        `its host returned ${response.status}`,
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
      // Leaving the loop cancels the rest of the response.
      if (length > MAX_DOCUMENT_BYTES) throw new MetadataDocumentError(`it is larger than ${MAX_DOCUMENT_BYTES} bytes`);
      chunks.push(chunk);
    }
    return { text: Buffer.concat(chunks).toString(), maxAgeSeconds: maxAgeOf(response.headers.get('cache-control')) };
  } catch (error) {
    // The message does not tell whether the host is down, private, slow or redirects: that would
    // reveal our network.
    throw error instanceof MetadataDocumentError ? error : new MetadataDocumentError('it cannot be fetched', true);
  }
}

/** Returns the members of the document, without those that are null. */
function parseMembers(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  } catch {
    // Invalid JSON leads to the error below.
  }
  throw new MetadataDocumentError('it is not a JSON object');
}

function maxAgeOf(cacheControl: string | null): number | undefined {
  if (/(^|[,\s])no-(store|cache)\b/i.test(cacheControl ?? '')) return 0;
  const [, seconds] = /(?:^|[,\s])max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl ?? '') ?? [];
  return seconds === undefined ? undefined : Number(seconds);
}
