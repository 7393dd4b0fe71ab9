/**
 * Password reset and e-mail verification. Opening a mailed link does not consume its token, because
 * mail scanners open every link. Submitting the form does.
 */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import type { Views } from '../pages/views.js';
import type { SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'passwordReset' | 'emailVerification' | 'passwords'> {
  csrf: Csrf;
  views: Views<SignInPages>;
}

const ForgotPasswordForm = z.object({ csrf: field, email: field });
const ResetPasswordForm = z.object({ csrf: field, token: field, password: field });
const VerifyEmailForm = z.object({ csrf: field, token: field });

export function createRecoveryPages({ passwordReset, emailVerification, passwords, csrf, views }: Deps): Router<State> {
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
    if (!(await emailVerification.isValid(token))) return renderInvalidLink(ctx, 'verify');
    ctx.body = views.render('sign-in/verify-email', { csrfToken: csrf.tokenFor(ctx), token });
  }

  async function verifyEmail(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token } = readForm(ctx, VerifyEmailForm);
    csrf.check(ctx, csrfToken);
    try {
      await emailVerification.verify(token, ctx.state.meta);
      ctx.body = views.render('sign-in/email-verified', {});
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'invalid_token') throw error;
      renderInvalidLink(ctx, 'verify');
    }
  }

  function renderInvalidLink(ctx: Context, kind: keyof typeof INVALID_LINK): void {
    ctx.status = 401;
    ctx.body = views.render('sign-in/invalid-link', INVALID_LINK[kind]);
  }
}

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
