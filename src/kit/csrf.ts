/**
 * Requests that another site makes a browser send. Whoever authenticates by cookie checks changes
 * with this; whoever sends a header need not.
 */

import { type AuthError, refusal } from './auth-error.js';
import type { RequestLike } from './context.js';
import { changesSomething } from './headers.js';

export interface CsrfOptions {
  /** The origin that the world knows this service by. Else that of the request's URL. */
  origin?: string;
  /** Other origins whose pages may change something here. */
  allowedOrigins?: readonly string[];
}

/**
 * Gives a check: a refusal (403) for a change that came with cookies and not from a page of this
 * service, or of an origin that is allowed. The browser says so itself in `Sec-Fetch-Site`, else in
 * `Origin`, else in `Referer`; without any of them nobody knows, and it is a no. An `Origin` that
 * is there decides alone: `null` is nobody's own, whatever `Referer` says.
 */
export function csrfProtect({ origin, allowedOrigins = [] }: CsrfOptions = {}) {
  const allowed = new Set(allowedOrigins.map((one) => new URL(one).origin));

  return function checkOrigin({ method, url, headers }: RequestLike): AuthError | undefined {
    if (!changesSomething(method) || !headers.get('cookie')) return undefined;
    const site = headers.get('sec-fetch-site');
    if (site === 'same-origin' || site === 'none') return undefined;
    const from = originOf(headers.get('origin') ?? headers.get('referer'));
    const own = originOf(origin ?? url);
    if (from !== undefined && (allowed.has(from) || (from === own && !site))) return undefined;
    return refusal(403, 'csrf_validation_failed', 'This change came from a page of another origin.');
  };
}

/** Undefined for none, for `null`, and for what is no URL. */
function originOf(value: string | null): string | undefined {
  try {
    const { origin } = new URL(value ?? '');
    return origin === 'null' ? undefined : origin;
  } catch {
    return undefined;
  }
}
