/**
 * Password reset and e-mail verification. Opening a mailed link consumes nothing, because mail
 * scanners open every link; the form does.
 */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import type { Csrf } from '../pages/csrf.js';
import { renderFormErrors } from '../pages/form-errors.js';
import type { Views } from '../pages/views.js';
import type { SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'passwordReset' | 'emailVerification' | 'passwords'> {
  csrf: Csrf;
  views: Views<SignInPages>;
}

const ForgotForm = z.object({ csrf: field, email: field });
const ResetForm = z.object({ csrf: field, token: field, password: field });
const VerifyForm = z.object({ csrf: field, token: field });

export function createRecoveryPages({ passwordReset, emailVerification, passwords, csrf, views }: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  if (passwordReset.isOffered) router.get('/forgot-password', showForgot).post('/forgot-password', parseForm, forgot);
  router.get('/reset-password', showReset).post('/reset-password', parseForm, reset);
  router.get('/verify-email', showVerify).post('/verify-email', parseForm, verify);
  return router;

  function showForgot(ctx: Context): void {
    renderForgot(ctx, {});
  }

  async function forgot(ctx: Context): Promise<void> {
    const { csrf: token, email } = readForm(ctx, ForgotForm);
    csrf.check(ctx, token);
    try {
      await passwordReset.requestReset(email, ctx.state.meta);
      renderForgot(ctx, { sentTo: email.trim() });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      renderForgot(ctx, { email, error: error.message });
    }
  }

  function renderForgot(ctx: Context, values: { email?: string; error?: string; sentTo?: string }): void {
    ctx.body = views.render('sign-in/forgot-password', { csrfToken: csrf.tokenFor(ctx), ...values });
  }

  async function showReset(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    if (await passwordReset.isValid(token)) renderReset(ctx, token);
    else renderExpired(ctx, 'reset');
  }

  async function reset(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token, password } = readForm(ctx, ResetForm);
    csrf.check(ctx, csrfToken);
    try {
      await passwordReset.reset(token, password, ctx.state.meta);
      ctx.body = views.render('sign-in/password-set', {});
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.code === 'invalid_token') return renderExpired(ctx, 'reset');
      renderFormErrors(ctx, error);
      renderReset(ctx, token, error.fields?.password ?? error.message);
    }
  }

  function renderReset(ctx: Context, token: string, error?: string): void {
    ctx.body = views.render('sign-in/reset-password', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      error,
      passwordRule: passwords.rule,
    });
  }

  async function showVerify(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    if (!(await emailVerification.isValid(token))) return renderExpired(ctx, 'verify');
    ctx.body = views.render('sign-in/verify-email', { csrfToken: csrf.tokenFor(ctx), token });
  }

  async function verify(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token } = readForm(ctx, VerifyForm);
    csrf.check(ctx, csrfToken);
    try {
      await emailVerification.verify(token, ctx.state.meta);
      ctx.body = views.render('sign-in/email-verified', {});
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'invalid_token') throw error;
      renderExpired(ctx, 'verify');
    }
  }

  function renderExpired(ctx: Context, kind: keyof typeof EXPIRED): void {
    ctx.status = 401;
    ctx.body = views.render('sign-in/invalid-link', EXPIRED[kind]);
  }
}

const EXPIRED = {
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
