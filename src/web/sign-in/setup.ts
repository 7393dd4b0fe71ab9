/** The page of the setup link, which creates the first administrator of a new server. */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import { invalidSetupLink } from '../../core/account-management/bootstrap.js';
import type { Core } from '../../core/core.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import { safeReturnTo } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import type { BrowserSignIn } from './browser-sign-in.js';
import type { AccountFormErrors, SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'bootstrap' | 'signIn' | 'passwords'> {
  browserSignIn: BrowserSignIn;
  csrf: Csrf;
  views: Views<SignInPages>;
}

const SetupForm = z.object({ csrf: field, token: field, name: field, email: field, password: field });

export function createSetupPages({ bootstrap, signIn, passwords, browserSignIn, csrf, views }: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get('/setup', showForm).post('/setup', parseForm, completeSetup);
  return router;

  async function showForm(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    if (!(await bootstrap.isValid(token))) throw invalidSetupLink();
    renderForm(ctx, token, {}, {});
  }

  async function completeSetup(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, ...input } = readForm(ctx, SetupForm);
    csrf.check(ctx, csrfToken);
    try {
      await bootstrap.complete(token, input, ctx.state.meta);
      await browserSignIn.proceed(
        ctx,
        { returnTo: safeReturnTo(undefined) },
        await signIn.withPassword(input, ctx.state.meta),
      );
    } catch (error) {
      if (!(error instanceof AppError) || error.status === 401) throw error;
      setErrorStatus(ctx, error);
      renderForm(ctx, token, input, error.fields ?? { form: error.message });
    }
  }

  function renderForm(
    ctx: Context,
    token: string,
    input: { name?: string; email?: string },
    errors: AccountFormErrors,
  ): void {
    ctx.body = views.render('sign-in/setup', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      name: input.name,
      email: input.email,
      errors,
      passwordRule: passwords.rule,
    });
  }
}
