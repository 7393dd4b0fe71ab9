/**
 * Rejects requests that another site made a browser send (CSRF). Needed for changes that are
 * authenticated by a cookie. Browsers never add headers such as `Authorization` automatically.
 */
import { type AuthError, authError } from './auth-error.js';
import type { RequestLike } from './context.js';
import { isUnsafeMethod } from './headers.js';

export interface CsrfOptions {
  /** The public origin of this service. Default: that of the request URL. */
  origin?: string;
  /** Other origins whose pages can change data here. */
  allowedOrigins?: readonly string[];
}

/**
 * Returns a function that checks a request. It returns an error (403) for a change with cookies,
 * unless a page of this service or of an allowed origin sent it. It reads `Sec-Fetch-Site`, then
 * `Origin`, then `Referer`, and rejects requests without them. It never allows the origin `null`.
 */
export function csrfProtect({ origin, allowedOrigins = [] }: CsrfOptions = {}) {
  const trustedOrigins = new Set(allowedOrigins.map((url) => new URL(url).origin));

  return function checkOrigin({ method, url, headers }: RequestLike): AuthError | undefined {
    if (!isUnsafeMethod(method) || !headers.get('cookie')) return undefined;
    const site = headers.get('sec-fetch-site');
    if (site === 'same-origin' || site === 'none') return undefined;
    const sourceOrigin = originOf(headers.get('origin') ?? headers.get('referer'));
    const ownOrigin = originOf(origin ?? url);
    if (sourceOrigin !== undefined && (trustedOrigins.has(sourceOrigin) || (sourceOrigin === ownOrigin && !site)))
      return undefined;
    return authError(403, 'csrf_validation_failed', 'This request came from a page of another origin.');
  };
}

/** Returns the origin of a URL. Undefined for a missing or invalid URL, and for `null`. */
function originOf(value: string | null): string | undefined {
  try {
    const { origin } = new URL(value ?? '');
    return origin === 'null' ? undefined : origin;
  } catch {
    return undefined;
  }
}
