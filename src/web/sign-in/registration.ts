/** The sign-up page. */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import type { LoginRedirect, LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import { allowPopupOpener, type BrowserSignIn } from './browser-sign-in.js';
import { providerButtons } from './federation.js';
import type { AccountFormErrors, SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'signIn' | 'passwords' | 'federation'> {
  browserSignIn: BrowserSignIn;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<SignInPages>;
}

const RegisterForm = z.object({ csrf: field, name: field, email: field, password: field });

export function createRegistrationPages({
  signIn,
  passwords,
  federation,
  browserSignIn,
  csrf,
  loginRedirects,
  views,
}: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get('/register', allowPopupOpener, showForm).post('/register', allowPopupOpener, parseForm, register);
  return router;

  function showForm(ctx: Context): void {
    renderForm(ctx, loginRedirects.read(ctx), { email: queryParam(ctx, 'login_hint') }, {});
  }

  async function register(ctx: Context): Promise<void> {
    const loginRedirect = loginRedirects.read(ctx);
    const { csrf: token, ...input } = readForm(ctx, RegisterForm);
    csrf.check(ctx, token);
    try {
      await browserSignIn.complete(ctx, await signIn.register(input, ctx.state.meta), loginRedirect.returnTo);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      renderForm(ctx, loginRedirect, input, error.fields ?? { form: error.message });
    }
  }

  function renderForm(
    ctx: Context,
    loginRedirect: LoginRedirect,
    input: { name?: string; email?: string },
    errors: AccountFormErrors,
  ): void {
    ctx.body = views.render('sign-in/register', {
      csrfToken: csrf.tokenFor(ctx),
      action: loginRedirects.urlFor('/register', loginRedirect),
      name: input.name,
      email: input.email,
      errors,
      loginHref: loginRedirects.urlFor('/login', loginRedirect),
      passwordRule: passwords.rule,
      appName: loginRedirect.appName,
      providers: providerButtons(federation, loginRedirects, loginRedirect),
    });
  }
}
