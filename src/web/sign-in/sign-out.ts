/** The sign-out page. It asks first, so that a link on another site cannot sign a user out. */
import Router from '@koa/router';
import { z } from 'zod';
import type { Core } from '../../core/core.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import type { Views } from '../pages/views.js';
import type { SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'sessions'> {
  loginCookie: LoginCookie;
  csrf: Csrf;
  views: Views<SignInPages>;
}

const SignOutForm = z.object({ csrf: field });

export function createSignOutPages({ sessions, loginCookie, csrf, views }: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get('/logout', showForm).post('/logout', parseForm, signOut);
  return router;

  async function showForm(ctx: Context): Promise<void> {
    const authenticated = await loginCookie.read(ctx);
    if (!authenticated) {
      ctx.body = views.render('sign-in/signed-out', {});
      return;
    }
    ctx.body = views.render('sign-in/sign-out', { csrfToken: csrf.tokenFor(ctx), email: authenticated.account.email });
  }

  async function signOut(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, SignOutForm).csrf);
    const authenticated = await loginCookie.read(ctx);
    if (authenticated) await sessions.revoke(authenticated.session.id, 'signed_out', ctx.state.meta);
    loginCookie.clear(ctx);
    seeOther(ctx, '/logout');
  }
}
