/** How a person proves who they are: the password, the second factor, its recovery codes. Each change needs a recent proof. */
import type Router from '@koa/router';
import { z } from 'zod';
import { Refusal } from '../../base/errors.js';
import type { Core } from '../../core/core.js';
import type { Enrolment } from '../../core/mfa/mfa.js';
import { answerFault } from '../answer-fault.js';
import type { Csrf } from '../csrf.js';
import { field, formBody, queryText, readForm } from '../input.js';
import type { PasswordErrors } from '../pages.js';
import { seeOther } from '../see-other.js';
import type { Context, State } from '../state.js';
import type { Views } from '../views.js';
import { type Guards, loginOf } from './guards.js';

interface Needs extends Pick<Core, 'mfa' | 'passwords' | 'recovery'> {
  csrf: Csrf;
  guards: Guards;
  views: Views;
}

const PAGE = '/account/security';
const CHANGED = 'password-changed';
const ChangeForm = z.object({ csrf: z.string() });
const PasswordForm = ChangeForm.extend({ current_password: field, password: field });
const ConfirmForm = ChangeForm.extend({ otp: field });

export function addSecurity(router: Router<State>, { mfa, passwords, recovery, csrf, guards, views }: Needs): void {
  const requireProof = guards.requireProof(PAGE);
  router.get(PAGE, requireProof, show);
  router.post(`${PAGE}/password`, requireProof, formBody, changePassword);
  router.get(`${PAGE}/factor`, requireProof, showFactor).post(`${PAGE}/factor`, requireProof, formBody, begin);
  router.post(`${PAGE}/factor/confirm`, requireProof, formBody, confirm);
  router.post(`${PAGE}/factor/remove`, requireProof, formBody, remove);
  router.post(`${PAGE}/recovery-codes`, requireProof, formBody, renewRecoveryCodes);

  async function show(ctx: Context): Promise<void> {
    await render(ctx, queryText(ctx, 'notice') === CHANGED ? { notice: 'Your password is changed.' } : {});
  }

  async function render(ctx: Context, { notice, errors = {} }: { notice?: string; errors?: PasswordErrors }) {
    const { account } = loginOf(ctx);
    ctx.body = views.render('account/security', {
      csrfToken: csrf.tokenFor(ctx),
      email: account.email,
      passwordRule: passwords.rule,
      errors,
      factor: await mfa.state(account.id),
      notice,
    });
  }

  async function changePassword(ctx: Context): Promise<void> {
    const { csrf: token, current_password: current, password: next } = readForm(ctx, PasswordForm);
    csrf.check(ctx, token);
    try {
      await recovery.change(loginOf(ctx), { current, next }, ctx.state.caller);
      seeOther(ctx, `${PAGE}?notice=${CHANGED}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answerFault(ctx, error);
      const { password } = error.fields ?? {};
      await render(ctx, { errors: password ? { password } : { current: error.message } });
    }
  }

  async function begin(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ChangeForm).csrf);
    await mfa.begin(loginOf(ctx).account);
    seeOther(ctx, `${PAGE}/factor`);
  }

  async function showFactor(ctx: Context): Promise<void> {
    const enrolment = await mfa.pending(loginOf(ctx).account);
    if (enrolment) renderFactor(ctx, enrolment);
    else seeOther(ctx, PAGE);
  }

  async function confirm(ctx: Context): Promise<void> {
    const { csrf: token, otp } = readForm(ctx, ConfirmForm);
    csrf.check(ctx, token);
    const login = loginOf(ctx);
    try {
      renderCodes(ctx, await mfa.confirm(login, otp, ctx.state.caller));
    } catch (error) {
      const enrolment = await mfa.pending(login.account);
      if (!(error instanceof Refusal) || !enrolment) throw error;
      answerFault(ctx, error);
      renderFactor(ctx, enrolment, error.message);
    }
  }

  /** Inside an image the SVG can do nothing, whatever it holds. */
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
    await mfa.remove(loginOf(ctx), ctx.state.caller);
    seeOther(ctx, PAGE);
  }

  async function renewRecoveryCodes(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, ChangeForm).csrf);
    renderCodes(ctx, await mfa.renewRecoveryCodes(loginOf(ctx).account, ctx.state.caller));
  }

  function renderCodes(ctx: Context, codes: string[]): void {
    ctx.body = views.render('account/recovery-codes', { csrfToken: csrf.tokenFor(ctx), codes });
  }
}
