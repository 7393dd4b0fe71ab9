/** Reads credentials from request headers, without verifying them. */
import type { RequestLike } from './context.js';

export interface PresentedCredential {
  scheme: 'bearer' | 'dpop';
  value: string;
}

const CREDENTIAL = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i;

/**
 * Parses an `Authorization` header. Returns undefined without one, and null if it is malformed
 * or has another scheme.
 */
export function readAuthorization(value: string | null): PresentedCredential | undefined | null {
  if (!value) return undefined;
  const [, scheme, credential] = CREDENTIAL.exec(value) ?? [];
  return credential ? { scheme: scheme!.toLowerCase() as PresentedCredential['scheme'], value: credential } : null;
}

/** The property of Node.js requests that preserves repeated headers. */
export interface NodeRequest {
  headersDistinct?: Record<string, string[] | undefined>;
}

/**
 * Returns the value of a header. Joins repeated `Authorization` headers, which makes them invalid:
 * Node.js uses only the first one, but a proxy could have checked another one.
 *
 * @param fallback the value according to the framework
 */
export function joinAuthorization(
  { headersDistinct }: NodeRequest,
  name: string,
  fallback: string | null,
): string | null {
  const isAuthorization = name.toLowerCase() === 'authorization';
  return (isAuthorization && headersDistinct?.authorization?.join(', ')) || fallback;
}

/**
 * Returns the value of a cookie as it was sent. If several cookies have the name, the first one.
 */
export function readCookie({ headers }: Pick<RequestLike, 'headers'>, name: string): string | undefined {
  for (const pair of (headers.get('cookie') ?? '').split(';')) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}

/**
 * Returns a request URL with the public origin of the service. Returns an invalid URL unchanged,
 * because clients can send any `Host`.
 */
export function publicUrl(url: string, origin: string | undefined): string {
  if (!origin || !URL.canParse(url)) return url;
  const { pathname, search } = new URL(url);
  return new URL(origin).origin + pathname + search; // not `new URL(path, origin)`: a path can start with //
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Reports whether a method can change data (RFC 9110, 9.2.1). */
export const isUnsafeMethod = (method: string): boolean => !SAFE_METHODS.has(method.toUpperCase());
