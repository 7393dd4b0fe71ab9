/**
 * Next.js: `export default protect(verifier, { signIn: '/login' })` in `middleware.ts` (`proxy.ts`
 * since Next.js 16). Runs at the edge. Reads the cookie that a page set after a login at Signet's
 * JSON API, which requires a verifier with `acceptLogins`.
 */
import { errorResponse } from '../auth-error.js';
import type { AuthContext, RequestLike } from '../context.js';
import { readCookie } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';
import type { RemoteVerifier } from '../remote-verifier.js';

export interface NextOptions extends Rules {
  /** The cookie that contains the access token. Default: `session`. */
  cookie?: string;
  /**
   * The path of the sign-in page, which gets the requested path in `next`. Without it, pages
   * respond with 401 as well.
   */
  signIn?: string;
}

/**
 * Returns a middleware. It returns undefined for an allowed request, and redirects an
 * unauthenticated request for a page to the sign-in page.
 */
export function protect(verifier: RemoteVerifier, { cookie = 'session', signIn, ...rules }: NextOptions = {}) {
  const authorize = createAdmission(resolve, rules);

  return async function middleware(request: Request): Promise<Response | undefined> {
    const url = new URL(request.url);
    if (signIn && url.pathname === signIn) return undefined;
    const result = await authorize(request);
    if ('auth' in result) return undefined;
    if (!signIn || result.error.status !== 401 || !isForPage(request)) return errorResponse(result.error);
    const signInUrl = new URL(signIn, url);
    signInUrl.searchParams.set('next', url.pathname.replace(/^\/+/, '/') + url.search); // `//` would start a host name
    return Response.redirect(signInUrl, 307);
  };

  async function resolve(request: RequestLike): Promise<AuthContext> {
    const auth = await verifier.resolve(request);
    const token = readCookie(request, cookie);
    if (auth.isAuthenticated || auth.error || !token) return auth;
    const fromCookie = await verifier.verify(token);
    return fromCookie.isAuthenticated ? { ...fromCookie, byCookie: true } : fromCookie;
  }
}

/** Reports whether a browser navigates to a page, as opposed to a script that requests data. */
const isForPage = ({ method, headers }: Request) =>
  method === 'GET' && (headers.get('accept') ?? '').includes('text/html');
