/** Middleware of the account pages: requires a session, or recent authentication. */
import type { Next } from 'koa';
import type { Clock } from '../../base/clock.js';
import { isRecentlyAuthenticated } from '../../core/sessions/authentication-methods.js';
import type { AuthenticatedSession } from '../../core/sessions/sessions.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import type { Context } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { LoginRedirects } from '../pages/login-redirect.js';

interface Deps {
  clock: Clock;
  loginCookie: LoginCookie;
  loginRedirects: LoginRedirects;
}

const sessionsByRequest = new WeakMap<object, AuthenticatedSession>();

export type Guards = ReturnType<typeof createGuards>;

/** Returns the middleware. Handlers then read the session with `sessionOf`. */
export function createGuards({ clock, loginCookie, loginRedirects }: Deps) {
  return { requireLogin, requireRecentAuthentication };

  /**
   * Redirects a user who is not signed in to the sign-in page. After the sign-in, the user returns
   * to this page; after a form, to the account page.
   */
  async function requireLogin(ctx: Context, next: Next): Promise<void> {
    const authenticated = await loginCookie.read(ctx);
    if (!authenticated) {
      const returnTo = ctx.method === 'GET' ? ctx.path : '/account';
      return seeOther(ctx, loginRedirects.urlFor('/login', { returnTo }));
    }
    sessionsByRequest.set(ctx.req, authenticated);
    await next();
  }

  /**
   * Redirects a user who is not signed in, or who authenticated too long ago, to the sign-in page.
   * The session continues. After the sign-in, the user returns to `returnTo` (default: this URL)
   * and must submit the form again.
   */
  function requireRecentAuthentication(returnTo?: string) {
    return async function checkRecentAuthentication(ctx: Context, next: Next): Promise<void> {
      const authenticated = await loginCookie.read(ctx);
      if (!authenticated || !isRecentlyAuthenticated(authenticated.session, clock.now())) {
        const email = authenticated?.account.email;
        return seeOther(ctx, loginRedirects.urlFor('/login', { returnTo: returnTo ?? ctx.path, email }));
      }
      sessionsByRequest.set(ctx.req, authenticated);
      await next();
    };
  }
}

/** Returns the session that a guard found. Throws without a guard in the route, which is a bug. */
export function sessionOf(ctx: Context): AuthenticatedSession {
  const authenticated = sessionsByRequest.get(ctx.req);
  if (!authenticated) throw new Error('the route has no guard');
  return authenticated;
}
