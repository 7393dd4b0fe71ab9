/** Reads the documents that an issuer publishes: its metadata and its keys. */
import type { JSONWebKeySet } from 'jose';
import { IssuerUnavailable } from './auth-error.js';
import { isSecureUrl } from './loopback.js';

export interface IssuerOptions {
  /** The issuer exactly as it identifies itself: the `ISSUER` of Signet, without a path. */
  issuer: string;
  fetch?: typeof fetch;
  now?: () => number;
}

/** Requests a URL and returns the JSON object in the response. Rejects for any other response. */
export type ReadJson = (url: string) => Promise<Record<string, unknown>>;

const TIMEOUT_MS = 5000;

/**
 * Returns the URL if it uses https or a loopback host, so that secrets can be sent to it and its
 * responses can be trusted. Throws a TypeError otherwise. Removes a slash after an origin, because
 * issuers have none.
 */
export function secureUrl(url: string): string {
  const parsed = new URL(url);
  if (!isSecureUrl(parsed)) throw new TypeError(`${url} must use https, or a loopback host`);
  return url === `${parsed.origin}/` ? parsed.origin : url;
}

/** Reads JSON with `fetch`. Follows no redirects. Rejects with `IssuerUnavailable`. */
export function createJsonReader(request: typeof fetch): ReadJson {
  return async function readJson(url) {
    try {
      const response = await request(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
      const body: unknown = response.status === 200 ? await response.json() : undefined;
      if (typeof body === 'object' && body !== null) return body as Record<string, unknown>;
      throw new Error(`The response has status ${response.status} or is not JSON`);
    } catch (cause) {
      throw new IssuerUnavailable(`${url} cannot be read`, { cause });
    }
  };
}

/**
 * Reads the metadata of an issuer (RFC 8414). Rejects with `IssuerUnavailable` if it names another
 * issuer: a server must not publish keys for others.
 */
export async function discover(issuer: string, readJson: ReadJson): Promise<Record<string, unknown>> {
  const document = await readJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  if (document.issuer !== issuer) {
    throw new IssuerUnavailable(`${issuer} identifies itself as ${String(document.issuer)}`);
  }
  return document;
}

/** Reads the public keys of an issuer. Rejects if their URL is not secure (see `secureUrl`). */
export async function readKeySet(issuer: string, readJson: ReadJson): Promise<JSONWebKeySet> {
  const { jwks_uri: url } = await discover(issuer, readJson);
  return (await readJson(secureUrl(String(url)))) as unknown as JSONWebKeySet;
}
