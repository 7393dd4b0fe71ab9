/** Validates and normalizes client metadata (RFC 7591). Pure functions. */

import { withBound } from '../../base/app-error.js';
import type { RequestBounds } from '../../base/config/request-bounds.js';
import { isReadable, isStorable } from '../../base/text.js';
import { isLoopback } from '../../kit/loopback.js';
import { parseSpiffeId } from '../../kit/spiffe.js';
import { keySetError } from './client-keys.js';

/** Metadata as received, with the member names of RFC 7591. */
export type ClientMetadata = Record<string, unknown>;

export interface MetadataRules {
  /** The client registered itself without an initial access token. */
  anonymous: boolean;
  /** An administrator creates the client, so it can have every supported grant type. */
  byAdmin: boolean;
  /** The names of all registered scopes. */
  scopes: string[];
  /** The only hosts that https redirect URIs can have. Empty: any host. */
  redirectHosts: string[];
  /** The bounds of `jwks` and of the whole metadata. */
  bounds: Pick<RequestBounds, 'clientKeys' | 'storedBytes'>;
  /**
   * The origin of the client metadata document. The `jwks_uri` can have this origin, because the
   * server requests it anyway.
   */
  home?: string | undefined;
}

/** The reason why metadata is rejected, with an error code of RFC 7591, section 3.2.2. */
export class MetadataError extends Error {
  constructor(
    readonly code: 'invalid_redirect_uri' | 'invalid_client_metadata',
    message: string,
  ) {
    super(message);
  }
}

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const SELF_SERVICE_GRANTS = ['authorization_code', 'refresh_token', DEVICE_GRANT];
const ADMIN_GRANTS = [...SELF_SERVICE_GRANTS, 'client_credentials'];

const MAX_REDIRECT_URIS = 20;
const MAX_URI_LENGTH = 2048;
const MAX_NAME_LENGTH = 100;
const MAX_CONTACTS = 10;
const DISPLAY_URI_MEMBERS = ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri'];
/** URIs that this server requests, so they need an administrator or an initial access token. */
const MEMBERS_REQUIRING_INITIAL_ACCESS_TOKEN = ['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri'];
/** Schemes that cannot return to an app. */
const FORBIDDEN_SCHEMES = new Set([
  'about:',
  'blob:',
  'chrome:',
  'data:',
  'file:',
  'filesystem:',
  'ftp:',
  'intent:',
  'javascript:',
  'mailto:',
  'tel:',
  'urn:',
  'vbscript:',
  'view-source:',
  'ws:',
  'wss:',
]);
/** Schemes with which operating systems and browsers start their own programs. */
const SYSTEM_SCHEME =
  /^(ms-|search|shell:|jar:|res:|mhtml:|mk:|vnd\.|moz-|chrome-|edge:|opera:|x-|help:|hcp:|ldap|sftp:|ssh:|telnet:|smb:|nfs:|git|svn|steam:|sms|callto:|irc|ircs:)/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are rejected
const FORBIDDEN_CHARACTERS = /[\u0000-\u0020\u007f\u00a0\u2028\u2029\\]/;
/** The scheme and the host as written, without user, port or path. */
const WEB_ORIGIN = /^(https?:)\/\/(\[[^\]]*\]|[^/:?#@[\]]+)(?=[:/?]|$)/i;

/**
 * Validates metadata and drops unknown scopes and grant types, as RFC 7591 allows. Returns the
 * members to change. Throws `MetadataError`.
 */
export function normalizeMetadata(metadata: ClientMetadata, rules: MetadataRules): ClientMetadata {
  const grantTypes = normalizeGrantTypes(metadata, rules.byAdmin ? ADMIN_GRANTS : SELF_SERVICE_GRANTS);
  const redirectUris = validateRedirectUris('redirect_uris', metadata.redirect_uris, rules);
  validateRedirectUris('post_logout_redirect_uris', metadata.post_logout_redirect_uris, rules);
  if (!isStorableThroughout(metadata)) throw invalidMetadata('a string contains characters that cannot be stored');
  validateDisplayMembers(metadata);
  validateSize(metadata, rules);
  if (rules.anonymous) {
    const member = MEMBERS_REQUIRING_INITIAL_ACCESS_TOKEN.find(
      (name) => metadata[name] !== undefined && !isJwksUriOfDocumentHost(name, metadata, rules),
    );
    if (member) throw invalidMetadata(`${member} requires an initial access token`);
  }
  const needsRedirect = grantTypes.includes('authorization_code');
  if (needsRedirect && redirectUris.length === 0)
    throw new MetadataError('invalid_redirect_uri', 'redirect_uris is missing');
  return {
    grant_types: grantTypes,
    response_types: needsRedirect ? (metadata.response_types ?? ['code']) : [],
    ...(redirectUris.some(hasPrivateUseScheme) && { application_type: 'native' }),
    ...(typeof metadata.scope === 'string' && { scope: narrowScope(metadata.scope, rules.scopes) }),
  };
}

/**
 * Returns the error of a first-party client's redirect URIs, if any. They must be https to a public
 * host, because users are not asked for consent.
 */
export function firstPartyError(redirectUris: string[]): string | undefined {
  const invalidUri = redirectUris.find((uri) => !uri.startsWith('https:') || isLoopback(new URL(uri).hostname));
  return (
    invalidUri &&
    `The redirect URIs of a first-party client must be https and not loopback; ${invalidUri} is not allowed`
  );
}

/** Client authentication by a SPIFFE identity. */
export const WORKLOAD_AUTH_METHODS = ['spiffe_jwt', 'spiffe_x509'];

/** Returns the error of a client's `spiffe_id`, if any. A workload's client id is its SPIFFE ID. */
export function workloadError({
  spiffe_id: id,
  token_endpoint_auth_method: method,
}: ClientMetadata): string | undefined {
  const isWorkload = WORKLOAD_AUTH_METHODS.includes(String(method));
  if (id === undefined) return isWorkload ? `spiffe_id is required with ${method}` : undefined;
  if (typeof id !== 'string' || !parseSpiffeId(id)?.path)
    return 'spiffe_id must be the SPIFFE ID of a workload, such as spiffe://example.org/ns/shop/sa/api';
  return isWorkload
    ? undefined
    : `a client with a spiffe_id must authenticate with ${WORKLOAD_AUTH_METHODS.join(' or ')}`;
}

function normalizeGrantTypes(metadata: ClientMetadata, allowed: string[]): string[] {
  const requestedTypes = metadata.grant_types ?? ['authorization_code'];
  if (!Array.isArray(requestedTypes) || requestedTypes.some((grant) => typeof grant !== 'string'))
    throw invalidMetadata('grant_types must be a list');
  const grantTypes = [...new Set(requestedTypes as string[])].filter((grant) => allowed.includes(grant));
  if (grantTypes.length === 0 || (grantTypes.length === 1 && grantTypes[0] === 'refresh_token')) {
    throw invalidMetadata(`grant_types contains no grant type that this client can have: ${allowed.join(', ')}`);
  }
  if (metadata.token_endpoint_auth_method === 'none' && grantTypes.includes('client_credentials')) {
    throw invalidMetadata('client_credentials requires client authentication');
  }
  return grantTypes;
}

/** Returns the URIs of a metadata member. Throws `MetadataError` if one of them is not allowed. */
function validateRedirectUris(member: string, value: unknown, { redirectHosts }: MetadataRules): string[] {
  if (value === undefined) return [];
  const redirectUriError = (message: string) => new MetadataError('invalid_redirect_uri', `${member}: ${message}`);
  if (!Array.isArray(value)) throw redirectUriError('must be a list');
  if (value.length > MAX_REDIRECT_URIS) throw redirectUriError(`at most ${MAX_REDIRECT_URIS} are allowed`);
  for (const uri of value as unknown[]) {
    if (typeof uri !== 'string' || uri.length > MAX_URI_LENGTH)
      throw redirectUriError(`must be strings of at most ${MAX_URI_LENGTH} characters`);
    if (FORBIDDEN_CHARACTERS.test(uri))
      throw redirectUriError('must not contain spaces, control characters or backslashes');
    const url = URL.parse(uri);
    if (!url) throw redirectUriError('must be absolute URLs');
    if (uri.includes('#')) throw redirectUriError('must not contain a fragment');
    if (uri.includes('*')) throw redirectUriError('must not contain a wildcard');
    if (url.username || url.password || /^[^/?]*:\/\/[^/?]*@/.test(uri))
      throw redirectUriError('must not contain a user or password');
    if (isHttpUrl(url) && WEB_ORIGIN.exec(uri)?.[2]?.toLowerCase() !== url.hostname) {
      throw redirectUriError('must have a normalized host after //'); // `https:a/b`, `http://127.1`
    }
    if (url.protocol === 'https:') {
      if (!isAllowedHost(url.hostname, redirectHosts))
        throw redirectUriError(`the host ${url.hostname} is not allowed on this server`);
    } else if (url.protocol === 'http:') {
      if (!isLoopback(url.hostname)) throw redirectUriError('http is allowed only for localhost, 127.0.0.1 and [::1]');
    } else if (FORBIDDEN_SCHEMES.has(url.protocol) || SYSTEM_SCHEME.test(url.protocol)) {
      throw redirectUriError(`the scheme ${url.protocol} is not allowed`);
    } else if (redirectHosts.length > 0) {
      throw redirectUriError('must be https and have a host that is allowed on this server');
    }
  }
  return value as string[];
}

function validateDisplayMembers(metadata: ClientMetadata): void {
  const { client_name: name, contacts } = metadata;
  if (name !== undefined && (typeof name !== 'string' || name.length > MAX_NAME_LENGTH || !isReadable(name))) {
    throw invalidMetadata(`client_name must be a string of at most ${MAX_NAME_LENGTH} printable characters`);
  }
  for (const member of DISPLAY_URI_MEMBERS) {
    const value = metadata[member];
    if (value === undefined) continue;
    const url =
      typeof value === 'string' && value.length <= MAX_URI_LENGTH && !FORBIDDEN_CHARACTERS.test(value)
        ? URL.parse(value)
        : null;
    if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isLoopback(url.hostname))) {
      throw invalidMetadata(`${member} must be an https URL of at most ${MAX_URI_LENGTH} characters`);
    }
  }
  if (contacts !== undefined && (!Array.isArray(contacts) || contacts.length > MAX_CONTACTS)) {
    throw invalidMetadata(`contacts must be a list of at most ${MAX_CONTACTS} entries`);
  }
}

function validateSize(metadata: ClientMetadata, { bounds, byAdmin }: MetadataRules): void {
  const keysError = keySetError(metadata.jwks, bounds.clientKeys);
  if (keysError) throw withBound('MAX_CLIENT_KEYS', invalidMetadata(keysError));
  if (!byAdmin && Buffer.byteLength(JSON.stringify(metadata)) > bounds.storedBytes)
    throw withBound(
      'MAX_STORED_REQUEST_BYTES',
      invalidMetadata(`the metadata is longer than ${bounds.storedBytes} bytes`),
    );
}

function isJwksUriOfDocumentHost(member: string, metadata: ClientMetadata, { home }: MetadataRules): boolean {
  const uri = metadata[member];
  return home !== undefined && member === 'jwks_uri' && typeof uri === 'string' && URL.parse(uri)?.origin === home;
}

function isStorableThroughout(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorableThroughout(member));
}

function narrowScope(scope: string, knownScopes: string[]): string {
  const narrowed = [...new Set(scope.split(' '))].filter((name) => knownScopes.includes(name));
  if (narrowed.length === 0) throw invalidMetadata(`scope contains no known scope; known are ${knownScopes.join(' ')}`);
  return narrowed.join(' ');
}

function isAllowedHost(hostname: string, allowed: string[]): boolean {
  if (allowed.length === 0 || isLoopback(hostname)) return true;
  return allowed.some((entry) => (entry.startsWith('*.') ? hostname.endsWith(entry.slice(1)) : hostname === entry));
}

const isHttpUrl = ({ protocol }: URL) => protocol === 'https:' || protocol === 'http:';

const hasPrivateUseScheme = (uri: string) => !/^https?:/i.test(uri);

const invalidMetadata = (message: string) => new MetadataError('invalid_client_metadata', message);

/** Returns the name of a client that users see, if any. */
export const clientName = ({ client_name: name }: ClientMetadata) => (typeof name === 'string' ? name : undefined);
