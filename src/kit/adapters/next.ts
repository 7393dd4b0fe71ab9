/**
 * Next.js: `export default protect(verifier, { signIn: '/login' })` in `middleware.ts` (from Next
 * 16 on, `proxy.ts`). Runs on the edge. It reads the cookie that a page set after signing in at
 * Signet's JSON login, which needs a verifier with `acceptLogins`.
 */

import { refusalResponse } from '../auth-error.js';
import type { AuthContext, RequestLike } from '../context.js';
import { readCookie } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';
import type { RemoteVerifier } from '../remote-verifier.js';

export interface NextOptions extends Rules {
  /** The cookie that holds the access token. */
  cookie?: string;
  /**
   * The page to sign in at; it is told in `next` from where somebody came, as a path. Without one,
   * everybody gets 401.
   */
  signIn?: string;
}

/**
 * Undefined lets a request through. A page that is asked for by somebody who is not signed in
 * becomes the page to sign in at.
 */
export function protect(verifier: RemoteVerifier, { cookie = 'session', signIn, ...rules }: NextOptions = {}) {
  const admit = createAdmission(fromHeaderOrCookie, rules);

  return async function middleware(request: Request): Promise<Response | undefined> {
    const url = new URL(request.url);
    if (signIn && url.pathname === signIn) return undefined;
    const authResult = await admit(request);
    if ('auth' in authResult) return undefined;
    if (!signIn || authResult.refusal.status !== 401 || !isForPage(request)) return refusalResponse(authResult.refusal);
    const to = new URL(signIn, url);
    to.searchParams.set('next', url.pathname.replace(/^\/+/, '/') + url.search); // two slashes would be another host
    return Response.redirect(to, 307);
  };

  async function fromHeaderOrCookie(request: RequestLike): Promise<AuthContext> {
    const auth = await verifier.resolve(request);
    const token = readCookie(request, cookie);
    if (auth.isAuthenticated || auth.refusal || !token) return auth;
    const byCookie = await verifier.verify(token);
    return byCookie.isAuthenticated ? { ...byCookie, byCookie: true } : byCookie;
  }
}

/** What a person sees in the address bar; a script that asks for data wants to be told. */
const isForPage = ({ method, headers }: Request) =>
  method === 'GET' && (headers.get('accept') ?? '').includes('text/html');
