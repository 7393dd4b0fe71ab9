/**
 * The security page: password, two-factor authentication, recovery codes, external providers
 * (links.ts). Each change requires recent authentication.
 */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Core } from '../../core/core.js';
import type { Link } from '../../core/federation/links.js';
import type { Enrolment } from '../../core/mfa/mfa.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { renderFormErrors } from '../pages/form-errors.js';
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

export const PAGE = '/account/security';
const CHANGED = 'password-changed';
/** Notices and errors by the value of the query parameter. */
const NOTICES: Record<string, { notice: string } | { problem: string } | undefined> = {
  [CHANGED]: { notice: 'Your password was changed.' },
  linked: { notice: 'You can now also sign in with this provider.' },
  unlinked: { notice: 'The sign-in method was removed. You were signed out on all other devices.' },
  'link-taken': {
    problem: 'This sign-in method belongs to another account. Sign in to that account and remove it there first.',
  },
  'link-refused': { problem: 'Nothing was linked, because you canceled at the provider.' },
  'last-way-in': {
    problem: 'This is your only sign-in method. Set a password or link another provider first.',
  },
};
const ChangeForm = z.object({ csrf: z.string() });
const PasswordForm = ChangeForm.extend({ current_password: field, password: field });
const ConfirmForm = ChangeForm.extend({ otp: field });

export function addSecurity(router: Router<State>, deps: Deps): void {
  const { mfa, passwords, passwordReset, federation, links, clock, csrf, guards, views } = deps;
  const requireRecentAuthentication = guards.requireRecentAuthentication(PAGE);
  router.get(PAGE, requireRecentAuthentication, show);
  router.post(`${PAGE}/password`, requireRecentAuthentication, parseForm, changePassword);
  router
    .get(`${PAGE}/factor`, requireRecentAuthentication, showFactor)
    .post(`${PAGE}/factor`, requireRecentAuthentication, parseForm, begin);
  router.post(`${PAGE}/factor/confirm`, requireRecentAuthentication, parseForm, confirm);
  router.post(`${PAGE}/factor/remove`, requireRecentAuthentication, parseForm, remove);
  router.post(`${PAGE}/recovery-codes`, requireRecentAuthentication, parseForm, renewRecoveryCodes);

  async function show(ctx: Context): Promise<void> {
    await render(ctx, NOTICES[queryParam(ctx, 'notice') ?? ''] ?? {});
  }

  async function render(
    ctx: Context,
    { errors = {}, ...said }: { notice?: string; problem?: string; errors?: PasswordErrors },
  ): Promise<void> {
    const { account } = sessionOf(ctx);
    const linked = await links.list(account.id);
    ctx.body = views.render('account/security', {
      csrfToken: csrf.tokenFor(ctx),
      email: account.email,
      passwordRule: passwords.rule,
      errors,
      factor: await mfa.state(account.id),
      hasPassword: account.passwordHash !== null,
      links: linked.map((link) => toRow(link, clock.now())),
      linkable: federation.offered.filter(({ id }) => linked.every(({ provider }) => provider?.id !== id)),
      ...said,
    });
  }

  async function changePassword(ctx: Context): Promise<void> {
    const { csrf: token, current_password: current, password: next } = readForm(ctx, PasswordForm);
    csrf.check(ctx, token);
    try {
      const login = sessionOf(ctx);
      if (login.account.passwordHash === null) await passwordReset.setFirstPassword(login, next, ctx.state.meta);
      else await passwordReset.changePassword(login, { current, next }, ctx.state.meta);
      seeOther(ctx, `${PAGE}?notice=${CHANGED}`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      renderFormErrors(ctx, error);
      const { password } = error.fields ?? {};
      await render(ctx, { errors: password ? { password } : { current: error.message } });
    }
  }

  async function begin(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ChangeForm).csrf);
    await mfa.begin(sessionOf(ctx).account);
    seeOther(ctx, `${PAGE}/factor`);
  }

  async function showFactor(ctx: Context): Promise<void> {
    const enrolment = await mfa.pending(sessionOf(ctx).account);
    if (enrolment) renderFactor(ctx, enrolment);
    else seeOther(ctx, PAGE);
  }

  async function confirm(ctx: Context): Promise<void> {
    const { csrf: token, otp } = readForm(ctx, ConfirmForm);
    csrf.check(ctx, token);
    const login = sessionOf(ctx);
    try {
      renderCodes(ctx, await mfa.confirm(login, otp, ctx.state.meta));
    } catch (error) {
      const enrolment = await mfa.pending(login.account);
      if (!(error instanceof AppError) || !enrolment) throw error;
      renderFormErrors(ctx, error);
      renderFactor(ctx, enrolment, error.message);
    }
  }

  /** An SVG inside an `img` element cannot run scripts. */
  function renderFactor(ctx: Context, { secret, qrSvg }: Enrolment, error?: string): void {
    ctx.body = views.render('account/factor', {
      csrfToken: csrf.tokenFor(ctx),
      qrSrc: `data:image/svg+xml;base64,${Buffer.from(qrSvg).toString('base64')}`,
      secret: secret.match(/.{1,4}/g) ?? [],
      error,
    });
  }

  async function remove(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ChangeForm).csrf);
    await mfa.remove(sessionOf(ctx), ctx.state.meta);
    seeOther(ctx, PAGE);
  }

  async function renewRecoveryCodes(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ChangeForm).csrf);
    renderCodes(ctx, await mfa.renewRecoveryCodes(sessionOf(ctx).account, ctx.state.meta));
  }

  function renderCodes(ctx: Context, codes: string[]): void {
    ctx.body = views.render('account/recovery-codes', { csrfToken: csrf.tokenFor(ctx), codes });
  }
}

function toRow({ id, provider, issuer, email, createdAt, lastUsedAt, keepsToken }: Link, now: Date) {
  return {
    id,
    name: provider?.name ?? issuer,
    email: email ?? undefined,
    since: describeAge(createdAt, now),
    lastUsed: lastUsedAt ? describeAge(lastUsedAt, now) : undefined,
    keepsToken,
  };
}
