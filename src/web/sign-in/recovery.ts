/**
 * Password reset and e-mail verification. Opening a mailed link does not consume its token, because
 * mail scanners open every link. Submitting the form does.
 */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import type { AuthenticatedSession } from '../../core/sessions/sessions.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import type { Views } from '../pages/views.js';
import type { SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'signIn' | 'passwordReset' | 'emailVerification' | 'passwords'> {
  loginCookie: LoginCookie;
  csrf: Csrf;
  views: Views<SignInPages>;
}

const ForgotPasswordForm = z.object({ csrf: field, email: field });
const ResetPasswordForm = z.object({ csrf: field, token: field, password: field });
const VerifyEmailForm = z.object({ csrf: field, token: field, password: field });

export function createRecoveryPages(deps: Deps): Router<State> {
  const { signIn, passwordReset, emailVerification, passwords, loginCookie, csrf, views } = deps;
  const router = new Router<State>({ sensitive: true });
  if (passwordReset.isOffered)
    router.get('/forgot-password', showForgotPassword).post('/forgot-password', parseForm, requestReset);
  router.get('/reset-password', showResetPassword).post('/reset-password', parseForm, resetPassword);
  router.get('/verify-email', showVerifyEmail).post('/verify-email', parseForm, verifyEmail);
  return router;

  function showForgotPassword(ctx: Context): void {
    renderForgotPassword(ctx, {});
  }

  async function requestReset(ctx: Context): Promise<void> {
    const { csrf: token, email } = readForm(ctx, ForgotPasswordForm);
    csrf.check(ctx, token);
    try {
      await passwordReset.requestReset(email, ctx.state.meta);
      renderForgotPassword(ctx, { sentTo: email.trim() });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      renderForgotPassword(ctx, { email, error: error.message });
    }
  }

  function renderForgotPassword(ctx: Context, values: { email?: string; error?: string; sentTo?: string }): void {
    ctx.body = views.render('sign-in/forgot-password', { csrfToken: csrf.tokenFor(ctx), ...values });
  }

  async function showResetPassword(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    if (await passwordReset.isValid(token)) renderResetPassword(ctx, token);
    else renderInvalidLink(ctx, 'reset');
  }

  async function resetPassword(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, password } = readForm(ctx, ResetPasswordForm);
    csrf.check(ctx, csrfToken);
    try {
      await passwordReset.reset(token, password, ctx.state.meta);
      ctx.body = views.render('sign-in/password-set', {});
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.code === 'invalid_token') return renderInvalidLink(ctx, 'reset');
      setErrorStatus(ctx, error);
      renderResetPassword(ctx, token, error.fields?.password ?? error.message);
    }
  }

  function renderResetPassword(ctx: Context, token: string, error?: string): void {
    ctx.body = views.render('sign-in/reset-password', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      error,
      passwordRule: passwords.rule,
    });
  }

  async function showVerifyEmail(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    const account = await emailVerification.accountOf(token);
    if (!account) return renderInvalidLink(ctx, 'verify');
    renderVerifyEmail(ctx, { token, needsPassword: !(await findSessionOf(ctx, account.id)) });
  }

  async function verifyEmail(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, password } = readForm(ctx, VerifyEmailForm);
    csrf.check(ctx, csrfToken);
    const { meta } = ctx.state;
    try {
      const account = await emailVerification.accountOf(token);
      if (!account) return renderInvalidLink(ctx, 'verify');
      const session = await findSessionOf(ctx, account.id);
      const user = session ?? { account: await signIn.checkPassword(account.email, password, meta) };
      await emailVerification.verify(token, user, meta);
      ctx.body = views.render('sign-in/email-verified', {});
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.code === 'invalid_token') return renderInvalidLink(ctx, 'verify');
      setErrorStatus(ctx, error);
      const isWrong = error.code === 'invalid_credentials';
      renderVerifyEmail(ctx, { token, needsPassword: true, error: isWrong ? WRONG_PASSWORD : error.message });
    }
  }

  /** Returns the session of the browser if it belongs to this account. */
  async function findSessionOf(ctx: Context, accountId: string): Promise<AuthenticatedSession | undefined> {
    const authenticated = await loginCookie.read(ctx);
    return authenticated?.account.id === accountId ? authenticated : undefined;
  }

  function renderVerifyEmail(
    ctx: Context,
    values: { token: string; needsPassword: boolean; error?: string | undefined },
  ): void {
    ctx.body = views.render('sign-in/verify-email', {
      csrfToken: csrf.tokenFor(ctx),
      canReset: passwordReset.isOffered,
      ...values,
    });
  }

  function renderInvalidLink(ctx: Context, kind: keyof typeof INVALID_LINK): void {
    ctx.status = 401;
    ctx.body = views.render('sign-in/invalid-link', INVALID_LINK[kind]);
  }
}

const WRONG_PASSWORD = 'This is not the password of the account.';

/** How to get a new link. */
const INVALID_LINK = {
  reset: {
    advice: 'The link works once, within one hour, until you request a newer one.',
    href: '/forgot-password',
    action: 'Request a new link',
  },
  verify: {
    advice: 'The link works once, within one day. You can request a new one in your account.',
    href: '/account',
    action: 'Go to your account',
  },
};
