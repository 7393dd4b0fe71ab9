/** Guards of the account pages: signed in, and recently authenticated. */
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
   * Redirects a user who is not signed in to the sign-in page. Afterwards the user returns to this
   * page, or to the account page after a form.
   */
  async function requireLogin(ctx: Context, next: Next): Promise<void> {
    const login = await loginCookie.read(ctx);
    if (!login)
      return seeOther(ctx, loginRedirects.urlFor('/login', { returnTo: ctx.method === 'GET' ? ctx.path : '/account' }));
    logins.set(ctx.req, login);
    await next();
  }

  /**
   * Redirects a user who authenticated too long ago to the sign-in page, and then to `page`
   * (default: the form's URL). The session continues. The form is not submitted; the page shows it
   * again.
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

/** Returns the session that `requireLogin` has found. */
export function sessionOf(ctx: Context): AuthenticatedSession {
  const login = logins.get(ctx.req);
  if (!login) throw new Error('a guard is missing in the route line');
  return login;
}
