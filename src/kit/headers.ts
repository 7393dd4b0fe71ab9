/** What a request carries to prove who sent it, before any of it is believed. */
import type { RequestLike } from './context.js';

export interface PresentedCredential {
  scheme: 'bearer' | 'dpop';
  value: string;
}

const CREDENTIAL = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i;

/**
 * Of an `Authorization` header; undefined where there is none, null for another scheme or what is
 * none.
 */
export function readAuthorization(value: string | null): PresentedCredential | undefined | null {
  if (!value) return undefined;
  const [, scheme, credential] = CREDENTIAL.exec(value) ?? [];
  return credential ? { scheme: scheme!.toLowerCase() as PresentedCredential['scheme'], value: credential } : null;
}

/** What Node tells of a request beside its headers. */
export interface NodeRequest {
  headersDistinct?: Record<string, string[] | undefined>;
}

/**
 * A header as Node keeps it. Of several `Authorization` it keeps the first, and a proxy on the way
 * may have looked at another: all of them are read as one, which is none.
 */
export function severalAsOne({ headersDistinct }: NodeRequest, name: string, kept: string | null): string | null {
  const isSingle = name.toLowerCase() === 'authorization';
  return (isSingle && headersDistinct?.authorization?.join(', ')) || kept;
}

/** The value of a cookie, as it was sent; of several with one name the first. */
export function readCookie({ headers }: Pick<RequestLike, 'headers'>, name: string): string | undefined {
  for (const pair of (headers.get('cookie') ?? '').split(';')) {
    const at = pair.indexOf('=');
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

/**
 * Where a request went, under the origin that the world knows the service by. What is no URL, as a
 * stranger may write `Host`, stays so.
 */
export function publicUrl(url: string, origin: string | undefined): string {
  if (!origin || !URL.canParse(url)) return url;
  const { pathname, search } = new URL(url);
  return new URL(origin).origin + pathname + search; // not `new URL(path, origin)`: a path may begin with two slashes
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);
export const changesSomething = (method: string): boolean => !SAFE_METHODS.has(method.toUpperCase());
