/** Validates and normalizes client metadata (RFC 7591). Pure functions. */

import { isReadable, isStorable } from '../../base/text.js';
import { isLoopback } from '../../kit/loopback.js';
import { parseSpiffeId } from '../../kit/spiffe.js';

/** Metadata as received, with the member names of RFC 7591. */
export type ClientMetadata = Record<string, unknown>;

export interface MetadataRules {
  /** The client registered itself without an initial access token. */
  anonymous: boolean;
  /** An administrator creates the client, so it can have every supported grant type. */
  byAdmin: boolean;
  /** The existing scopes. */
  scopes: string[];
  /** If not empty, the only hosts for https redirect URIs. */
  redirectHosts: string[];
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
const URI_MEMBERS = ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri'];
/** URIs that this server requests, so they need an administrator or an initial access token. */
const MEMBERS_REQUIRING_INITIAL_ACCESS_TOKEN = ['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri'];
/** Schemes that do not open an app. */
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
const UNPRINTABLE = /[\u0000-\u0020\u007f\u00a0\u2028\u2029\\]/;
/** The scheme and the host as written, without user, port or path. */
const WEB_ORIGIN = /^(https?:)\/\/(\[[^\]]*\]|[^/:?#@[\]]+)(?=[:/?]|$)/i;

/**
 * Validates metadata and drops unknown scopes and grant types, as RFC 7591 allows. Returns the
 * members to change. Throws `MetadataError`.
 */
export function normalizeMetadata(metadata: ClientMetadata, rules: MetadataRules): ClientMetadata {
  const grantTypes = normalizeGrants(metadata, rules.byAdmin ? ADMIN_GRANTS : SELF_SERVICE_GRANTS);
  const redirectUris = normalizeUris('redirect_uris', metadata.redirect_uris, rules);
  normalizeUris('post_logout_redirect_uris', metadata.post_logout_redirect_uris, rules);
  if (!isStorableThroughout(metadata)) throw invalid('a string contains characters that cannot be stored');
  checkText(metadata);
  if (rules.anonymous) {
    const member = MEMBERS_REQUIRING_INITIAL_ACCESS_TOKEN.find(
      (name) => metadata[name] !== undefined && !isKeySetOfDocumentHost(name, metadata, rules),
    );
    if (member) throw invalid(`${member} requires an initial access token`);
  }
  const needsRedirect = grantTypes.includes('authorization_code');
  if (needsRedirect && redirectUris.length === 0)
    throw new MetadataError('invalid_redirect_uri', 'redirect_uris is missing');
  return {
    grant_types: grantTypes,
    response_types: needsRedirect ? (metadata.response_types ?? ['code']) : [],
    ...(redirectUris.some(isPrivateUse) && { application_type: 'native' }),
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

/** Reports whether two loopback redirect URIs differ only in the port (RFC 8252, section 7.3). */
export function sameLoopback(requested: string, registered: string): boolean {
  const [a, b] = [URL.parse(requested), URL.parse(registered)];
  if (!a || !b || a.protocol !== 'http:' || a.hostname !== b.hostname || !isLoopback(a.hostname)) return false;
  return withoutPort(requested) === withoutPort(registered);
}

/** Removes the port from the text, without normalizing the rest. */
const withoutPort = (uri: string) => uri.replace(/^(http:\/\/(?:\[[^\]]*\]|[^/:?#@]*))(:\d+)?(?=[/?]|$)/, '$1');

function normalizeGrants(metadata: ClientMetadata, allowed: string[]): string[] {
  const requested = metadata.grant_types ?? ['authorization_code'];
  if (!Array.isArray(requested) || requested.some((grant) => typeof grant !== 'string'))
    throw invalid('grant_types must be a list');
  const granted = [...new Set(requested as string[])].filter((grant) => allowed.includes(grant));
  if (granted.length === 0 || (granted.length === 1 && granted[0] === 'refresh_token')) {
    throw invalid(`grant_types contains no grant type that this client can have: ${allowed.join(', ')}`);
  }
  if (metadata.token_endpoint_auth_method === 'none' && granted.includes('client_credentials')) {
    throw invalid('client_credentials requires client authentication');
  }
  return granted;
}

function normalizeUris(member: string, value: unknown, { redirectHosts }: MetadataRules): string[] {
  if (value === undefined) return [];
  const problem = (message: string) => new MetadataError('invalid_redirect_uri', `${member}: ${message}`);
  if (!Array.isArray(value)) throw problem('must be a list');
  if (value.length > MAX_REDIRECT_URIS) throw problem(`at most ${MAX_REDIRECT_URIS} are allowed`);
  for (const uri of value as unknown[]) {
    if (typeof uri !== 'string' || uri.length > MAX_URI_LENGTH)
      throw problem(`must be strings of at most ${MAX_URI_LENGTH} characters`);
    if (UNPRINTABLE.test(uri)) throw problem('must not contain spaces, control characters or backslashes');
    const url = URL.parse(uri);
    if (!url) throw problem('must be absolute URLs');
    if (uri.includes('#')) throw problem('must not contain a fragment');
    if (uri.includes('*')) throw problem('must not contain a wildcard');
    if (url.username || url.password || /^[^/?]*:\/\/[^/?]*@/.test(uri))
      throw problem('must not contain a user or password');
    if (isWeb(url) && WEB_ORIGIN.exec(uri)?.[2]?.toLowerCase() !== url.hostname) {
      throw problem('must have a normalized host after //'); // `https:a/b`, `http://127.1`
    }
    if (url.protocol === 'https:') {
      if (!isAllowedHost(url.hostname, redirectHosts))
        throw problem(`the host ${url.hostname} is not allowed on this server`);
    } else if (url.protocol === 'http:') {
      if (!isLoopback(url.hostname)) throw problem('http is allowed only for localhost, 127.0.0.1 and [::1]');
    } else if (FORBIDDEN_SCHEMES.has(url.protocol) || SYSTEM_SCHEME.test(url.protocol)) {
      throw problem(`the scheme ${url.protocol} is not allowed`);
    } else if (redirectHosts.length > 0) {
      throw problem('must be https and have a host that is allowed on this server');
    }
  }
  return value as string[];
}

function checkText(metadata: ClientMetadata): void {
  const { client_name: name, contacts } = metadata;
  if (name !== undefined && (typeof name !== 'string' || name.length > MAX_NAME_LENGTH || !isReadable(name))) {
    throw invalid(`client_name must be a string of at most ${MAX_NAME_LENGTH} printable characters`);
  }
  for (const member of URI_MEMBERS) {
    const value = metadata[member];
    if (value === undefined) continue;
    const url =
      typeof value === 'string' && value.length <= MAX_URI_LENGTH && !UNPRINTABLE.test(value) ? URL.parse(value) : null;
    if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isLoopback(url.hostname))) {
      throw invalid(`${member} must be an https URL of at most ${MAX_URI_LENGTH} characters`);
    }
  }
  if (contacts !== undefined && (!Array.isArray(contacts) || contacts.length > MAX_CONTACTS)) {
    throw invalid(`contacts must be a list of at most ${MAX_CONTACTS} entries`);
  }
}

function isKeySetOfDocumentHost(member: string, metadata: ClientMetadata, { home }: MetadataRules): boolean {
  const uri = metadata[member];
  return home !== undefined && member === 'jwks_uri' && typeof uri === 'string' && URL.parse(uri)?.origin === home;
}

function isStorableThroughout(value: unknown): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorableThroughout(member));
}

function narrowScope(scope: string, known: string[]): string {
  const narrowed = [...new Set(scope.split(' '))].filter((name) => known.includes(name));
  if (narrowed.length === 0) throw invalid(`scope contains no known scope; known are ${known.join(' ')}`);
  return narrowed.join(' ');
}

function isAllowedHost(hostname: string, allowed: string[]): boolean {
  if (allowed.length === 0 || isLoopback(hostname)) return true;
  return allowed.some((entry) => (entry.startsWith('*.') ? hostname.endsWith(entry.slice(1)) : hostname === entry));
}

const isWeb = ({ protocol }: URL) => protocol === 'https:' || protocol === 'http:';

const isPrivateUse = (uri: string) => !/^https?:/i.test(uri);

const invalid = (message: string) => new MetadataError('invalid_client_metadata', message);

/** Returns the name of a client for users, if it has one. */
export const clientName = ({ client_name: name }: ClientMetadata) => (typeof name === 'string' ? name : undefined);
