/**
 * Who may open the pages of an account: whoever is signed in, and for some of them has proved it
 * lately.
 */
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

const logins = new WeakMap<object, AuthenticatedSession>();

export type Guards = ReturnType<typeof createGuards>;

export function createGuards({ clock, loginCookie, loginRedirects }: Deps) {
  return { requireLogin, requireRecentAuthentication };

  /**
   * Sends to the sign-in page whoever is not signed in; back to the page that they wanted, or home
   * after a form.
   */
  async function requireLogin(ctx: Context, next: Next): Promise<void> {
    const login = await loginCookie.read(ctx);
    if (!login)
      return seeOther(ctx, loginRedirects.urlFor('/login', { returnTo: ctx.method === 'GET' ? ctx.path : '/account' }));
    logins.set(ctx.req, login);
    await next();
  }

  /**
   * Sends to the sign-in page, and then to this page, whoever proved too long ago who they are: the
   * login goes on when they come back. What a form held is not done; the page shows it again.
   * Without a page named, it is the one at the form's own address.
   */
  function requireRecentAuthentication(page?: string) {
    return async function requireRecentProof(ctx: Context, next: Next): Promise<void> {
      const login = await loginCookie.read(ctx);
      if (!login || !isRecentlyAuthenticated(login.session, clock.now()))
        return seeOther(
          ctx,
          loginRedirects.urlFor('/login', { returnTo: page ?? ctx.path, email: login?.account.email }),
        );
      logins.set(ctx.req, login);
      await next();
    };
  }
}

export function sessionOf(ctx: Context): AuthenticatedSession {
  const login = logins.get(ctx.req);
  if (!login) throw new Error('a guard is missing in the route line');
  return login;
}
