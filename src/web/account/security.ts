/**
 * The security page: password, two-factor authentication, recovery codes, external providers
 * (links.ts). Viewing the page requires recent authentication, like each change.
 */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Core } from '../../core/core.js';
import type { Link } from '../../core/federation/links.js';
import type { TotpEnrollment } from '../../core/mfa/mfa.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import { describeAge } from '../pages/format.js';
import type { Views } from '../pages/views.js';
import { type Guards, sessionOf } from './guards.js';
import type { AccountPages, PasswordErrors } from './view-models.js';

interface Deps extends Pick<Core, 'mfa' | 'passwords' | 'passwordReset' | 'federation' | 'links'> {
  clock: Clock;
  csrf: Csrf;
  guards: Guards;
  views: Views<AccountPages>;
}

export const SECURITY_PATH = '/account/security';
const PASSWORD_CHANGED = 'password-changed';
/** Notices and errors by the value of `?notice=`. */
const NOTICES: Record<string, { notice: string } | { error: string } | undefined> = {
  [PASSWORD_CHANGED]: { notice: 'Your password was saved.' },
  linked: { notice: 'You can now also sign in with this provider.' },
  unlinked: { notice: 'The sign-in method was removed. You were signed out on all other devices.' },
  'link-taken': {
    error: 'This provider account is already linked to another account. Unlink it there first.',
  },
  'link-canceled': { error: 'You canceled the sign-in at the provider, so your account there was not linked.' },
  'last-sign-in-method': {
    error: 'This is your only sign-in method. Set a password or link another provider first.',
  },
};
const CsrfForm = z.object({ csrf: z.string() });
const PasswordForm = CsrfForm.extend({ current_password: field, password: field });
const ConfirmEnrollmentForm = CsrfForm.extend({ otp: field });

/** Adds the routes of these pages. */
export function addSecurity(router: Router<State>, deps: Deps): void {
  const { mfa, passwords, passwordReset, federation, links, clock, csrf, guards, views } = deps;
  const requireRecentAuthentication = guards.requireRecentAuthentication(SECURITY_PATH);
  router.get(SECURITY_PATH, requireRecentAuthentication, show);
  router.post(`${SECURITY_PATH}/password`, requireRecentAuthentication, parseForm, changePassword);
  router
    .get(`${SECURITY_PATH}/factor`, requireRecentAuthentication, showEnrollment)
    .post(`${SECURITY_PATH}/factor`, requireRecentAuthentication, parseForm, beginEnrollment);
  router.post(`${SECURITY_PATH}/factor/confirm`, requireRecentAuthentication, parseForm, confirmEnrollment);
  router.post(`${SECURITY_PATH}/factor/remove`, requireRecentAuthentication, parseForm, removeSecondFactor);
  router.post(`${SECURITY_PATH}/recovery-codes`, requireRecentAuthentication, parseForm, regenerateRecoveryCodes);

  async function show(ctx: Context): Promise<void> {
    await render(ctx, NOTICES[queryParam(ctx, 'notice') ?? ''] ?? {});
  }

  async function render(
    ctx: Context,
    { errors = {}, ...message }: { notice?: string; error?: string; errors?: PasswordErrors },
  ): Promise<void> {
    const { account } = sessionOf(ctx);
    const linked = await links.list(account.id);
    ctx.body = views.render('account/security', {
      csrfToken: csrf.tokenFor(ctx),
      email: account.email,
      passwordRule: passwords.rule,
      errors,
      secondFactor: await mfa.status(account.id),
      hasPassword: account.passwordHash !== null,
      links: linked.map((link) => toLinkView(link, clock.now())),
      linkable: federation.signInProviders.filter(({ id }) => linked.every(({ provider }) => provider?.id !== id)),
      ...message,
    });
  }

  async function changePassword(ctx: Context): Promise<void> {
    const { csrf: token, current_password: current, password: newPassword } = readForm(ctx, PasswordForm);
    csrf.check(ctx, token);
    try {
      const authenticated = sessionOf(ctx);
      if (authenticated.account.passwordHash === null)
        await passwordReset.setFirstPassword(authenticated, newPassword, ctx.state.meta);
      else await passwordReset.changePassword(authenticated, { current, next: newPassword }, ctx.state.meta);
      seeOther(ctx, `${SECURITY_PATH}?notice=${PASSWORD_CHANGED}`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      setErrorStatus(ctx, error);
      const { password } = error.fields ?? {};
      await render(ctx, { errors: password ? { password } : { current: error.message } });
    }
  }

  async function beginEnrollment(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    await mfa.beginEnrollment(sessionOf(ctx).account);
    seeOther(ctx, `${SECURITY_PATH}/factor`);
  }

  async function showEnrollment(ctx: Context): Promise<void> {
    const enrollment = await mfa.pendingEnrollment(sessionOf(ctx).account);
    if (enrollment) renderEnrollment(ctx, enrollment);
    else seeOther(ctx, SECURITY_PATH);
  }

  async function confirmEnrollment(ctx: Context): Promise<void> {
    const { csrf: token, otp } = readForm(ctx, ConfirmEnrollmentForm);
    csrf.check(ctx, token);
    const authenticated = sessionOf(ctx);
    try {
      renderCodes(ctx, await mfa.confirmEnrollment(authenticated, otp, ctx.state.meta));
    } catch (error) {
      const enrollment = await mfa.pendingEnrollment(authenticated.account);
      if (!(error instanceof AppError) || !enrollment) throw error;
      setErrorStatus(ctx, error);
      renderEnrollment(ctx, enrollment, error.message);
    }
  }

  /** Embeds the QR code as a data URI, because an SVG in an `img` cannot run scripts. */
  function renderEnrollment(ctx: Context, { secret, qrSvg }: TotpEnrollment, error?: string): void {
    ctx.body = views.render('account/second-factor', {
      csrfToken: csrf.tokenFor(ctx),
      qrSrc: `data:image/svg+xml;base64,${Buffer.from(qrSvg).toString('base64')}`,
      secret: secret.match(/.{1,4}/g) ?? [],
      error,
    });
  }

  async function removeSecondFactor(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    await mfa.remove(sessionOf(ctx), ctx.state.meta);
    seeOther(ctx, SECURITY_PATH);
  }

  async function regenerateRecoveryCodes(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    renderCodes(ctx, await mfa.regenerateRecoveryCodes(sessionOf(ctx), ctx.state.meta));
  }

  function renderCodes(ctx: Context, codes: string[]): void {
    ctx.body = views.render('account/recovery-codes', { csrfToken: csrf.tokenFor(ctx), codes });
  }
}

function toLinkView({ id, provider, issuer, email, createdAt, lastUsedAt, hasStoredTokens }: Link, now: Date) {
  return {
    id,
    name: provider?.name ?? issuer,
    email: email ?? undefined,
    linkedAt: describeAge(createdAt, now),
    lastUsed: lastUsedAt ? describeAge(lastUsedAt, now) : undefined,
    hasStoredTokens: hasStoredTokens,
  };
}
