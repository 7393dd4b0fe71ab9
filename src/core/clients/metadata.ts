/**
 * What a client may say of itself (RFC 7591), and what we make of it. Pure: no store, no network.
 */
import { isLoopback } from '../../base/loopback.js';
import { isReadable, isStorable } from '../../base/text.js';
import { parseSpiffeId } from '../../kit/spiffe.js';

/** Metadata as it comes over the wire, member names as in RFC 7591. */
export type ClientMetadata = Record<string, unknown>;

export interface MetadataRules {
  /** Nobody vouches for this client: it registered itself without a token. */
  anonymous: boolean;
  /** Made by an administrator: may have every grant that we know. */
  byAdmin: boolean;
  /** Scopes that exist. */
  scopes: string[];
  /** If not empty, the only hosts that https redirects may go to. */
  redirectHosts: string[];
  /**
   * The origin of the document that it comes from: its keys may be there too, for that host is
   * asked anyway.
   */
  home?: string | undefined;
}

/** Why it cannot be registered, with the error code of RFC 7591, section 3.2.2. */
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
/** The server would fetch these by itself: not for somebody whom nobody knows. */
const ADMIN_ONLY_MEMBERS = ['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri'];
/** Schemes that do something else than open an app. */
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
/** Those with which operating systems and browsers start programs of their own. */
const SYSTEM_SCHEME =
  /^(ms-|search|shell:|jar:|res:|mhtml:|mk:|vnd\.|moz-|chrome-|edge:|opera:|x-|help:|hcp:|ldap|sftp:|ssh:|telnet:|smb:|nfs:|git|svn|steam:|sms|callto:|irc|ircs:)/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
const UNPRINTABLE = /[\u0000-\u0020\u007f\u00a0\u2028\u2029\\]/;
/** The scheme and the host as they stand, without user, port or path. */
const WEB_ORIGIN = /^(https?:)\/\/(\[[^\]]*\]|[^/:?#@[\]]+)(?=[:/?]|$)/i;

/**
 * Checks metadata and narrows what is too much: unknown scopes and grants are left out, as RFC 7591
 * allows. Returns the members to change; throws a MetadataFault for what cannot be narrowed.
 */
export function normalizeMetadata(metadata: ClientMetadata, rules: MetadataRules): ClientMetadata {
  const grantTypes = normalizeGrants(metadata, rules.byAdmin ? ADMIN_GRANTS : SELF_SERVICE_GRANTS);
  const redirectUris = normalizeUris('redirect_uris', metadata.redirect_uris, rules);
  normalizeUris('post_logout_redirect_uris', metadata.post_logout_redirect_uris, rules);
  if (!isStorableThroughout(metadata)) throw invalid('a text holds characters that cannot be stored');
  checkText(metadata);
  if (rules.anonymous) {
    const member = ADMIN_ONLY_MEMBERS.find(
      (name) => metadata[name] !== undefined && !isLoopbackOrHttps(name, metadata, rules),
    );
    if (member) throw invalid(`${member} is not accepted from clients that register without a token`);
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
 * Why nothing else than https to a public host will do for a first-party client: there, nobody is
 * asked.
 */
export function firstPartyError(redirectUris: string[]): string | undefined {
  const unfit = redirectUris.find((uri) => !uri.startsWith('https:') || isLoopback(new URL(uri).hostname));
  return unfit && `A first-party client may only redirect to https, and not to this machine; ${unfit} is neither`;
}

export const WORKLOAD_AUTH_METHODS = ['spiffe_jwt', 'spiffe_x509'];

/**
 * Why it is no client that a workload can be; undefined also for one that is none. Its name is its
 * SPIFFE ID.
 */
export function workloadError({
  spiffe_id: id,
  token_endpoint_auth_method: method,
}: ClientMetadata): string | undefined {
  const isWorkload = WORKLOAD_AUTH_METHODS.includes(String(method));
  if (id === undefined) return isWorkload ? `spiffe_id is missing: ${method} proves one` : undefined;
  if (typeof id !== 'string' || !parseSpiffeId(id)?.path)
    return 'spiffe_id must be the SPIFFE ID of a workload, such as spiffe://example.org/ns/shop/sa/api';
  return isWorkload ? undefined : `a workload proves its SPIFFE ID by ${WORKLOAD_AUTH_METHODS.join(' or ')}`;
}

/**
 * Whether two redirect URIs are the same but for the port of a loopback address (RFC 8252, section
 * 7.3).
 */
export function sameLoopback(requested: string, registered: string): boolean {
  const [a, b] = [URL.parse(requested), URL.parse(registered)];
  if (!a || !b || a.protocol !== 'http:' || a.hostname !== b.hostname || !isLoopback(a.hostname)) return false;
  return withoutPort(requested) === withoutPort(registered);
}

/** The text without its port: compared as text, so that nothing is normalised away. */
const withoutPort = (uri: string) => uri.replace(/^(http:\/\/(?:\[[^\]]*\]|[^/:?#@]*))(:\d+)?(?=[/?]|$)/, '$1');

function normalizeGrants(metadata: ClientMetadata, allowed: string[]): string[] {
  const wanted = metadata.grant_types ?? ['authorization_code'];
  if (!Array.isArray(wanted) || wanted.some((grant) => typeof grant !== 'string'))
    throw invalid('grant_types must be a list');
  const granted = [...new Set(wanted as string[])].filter((grant) => allowed.includes(grant));
  if (granted.length === 0 || (granted.length === 1 && granted[0] === 'refresh_token')) {
    throw invalid(`grant_types has none that this client may have; possible are ${allowed.join(', ')}`);
  }
  if (metadata.token_endpoint_auth_method === 'none' && granted.includes('client_credentials')) {
    throw invalid('client_credentials needs a client that can authenticate itself');
  }
  return granted;
}

function normalizeUris(member: string, value: unknown, { redirectHosts }: MetadataRules): string[] {
  if (value === undefined) return [];
  const problem = (message: string) => new MetadataError('invalid_redirect_uri', `${member}: ${message}`);
  if (!Array.isArray(value)) throw problem('must be a list');
  if (value.length > MAX_REDIRECT_URIS) throw problem(`at most ${MAX_REDIRECT_URIS}`);
  for (const uri of value as unknown[]) {
    if (typeof uri !== 'string' || uri.length > MAX_URI_LENGTH)
      throw problem(`texts of at most ${MAX_URI_LENGTH} characters`);
    if (UNPRINTABLE.test(uri)) throw problem('no spaces, control characters or backslashes');
    const url = URL.parse(uri);
    if (!url) throw problem('must be absolute URLs');
    if (uri.includes('#')) throw problem('no fragments');
    if (uri.includes('*')) throw problem('no wildcards');
    if (url.username || url.password || /^[^/?]*:\/\/[^/?]*@/.test(uri))
      throw problem('no user or password in the URL');
    if (isWeb(url) && WEB_ORIGIN.exec(uri)?.[2]?.toLowerCase() !== url.hostname) {
      throw problem('the host must stand after //, in the form that browsers show'); // `https:a/b`, `http://127.1`
    }
    if (url.protocol === 'https:') {
      if (!isAllowedHost(url.hostname, redirectHosts))
        throw problem(`the host ${url.hostname} is not on the list of this server`);
    } else if (url.protocol === 'http:') {
      if (!isLoopback(url.hostname)) throw problem('http only to localhost, 127.0.0.1 or [::1]');
    } else if (FORBIDDEN_SCHEMES.has(url.protocol) || SYSTEM_SCHEME.test(url.protocol)) {
      throw problem(`the scheme ${url.protocol} is not for redirects`);
    } else if (redirectHosts.length > 0) {
      throw problem('only https to the hosts on the list of this server');
    }
  }
  return value as string[];
}

function checkText(metadata: ClientMetadata): void {
  const { client_name: name, contacts } = metadata;
  if (name !== undefined && (typeof name !== 'string' || name.length > MAX_NAME_LENGTH || !isReadable(name))) {
    throw invalid(`client_name must be a text of at most ${MAX_NAME_LENGTH} ordinary characters`);
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
    throw invalid(`contacts must be a list of at most ${MAX_CONTACTS}`);
  }
}

function isLoopbackOrHttps(member: string, metadata: ClientMetadata, { home }: MetadataRules): boolean {
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
  if (narrowed.length === 0) throw invalid(`scope has none that exists here; there are ${known.join(' ')}`);
  return narrowed.join(' ');
}

function isAllowedHost(hostname: string, allowed: string[]): boolean {
  if (allowed.length === 0 || isLoopback(hostname)) return true;
  return allowed.some((entry) => (entry.startsWith('*.') ? hostname.endsWith(entry.slice(1)) : hostname === entry));
}

const isWeb = ({ protocol }: URL) => protocol === 'https:' || protocol === 'http:';

const isPrivateUse = (uri: string) => !/^https?:/i.test(uri);

const invalid = (message: string) => new MetadataError('invalid_client_metadata', message);
