/** The page of an agent's claim link. Opening it changes nothing; its form claims the agent. */
import type Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { invalidClaim } from '../../core/agents/ownership-claims.js';
import type { Core } from '../../core/core.js';
import { isRecentlyAuthenticated } from '../../core/sessions/authentication-methods.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { renderFormErrors } from '../pages/form-errors.js';
import { describeDay } from '../pages/format.js';
import type { LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import type { AccountPages } from './view-models.js';

interface Deps extends Pick<Core, 'ownershipClaims' | 'resources'> {
  clock: Clock;
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<AccountPages>;
}

const PAGE = '/account/agents/claim';
const ClaimForm = z.object({ csrf: field, token: field });

export function addAgentClaims(router: Router<State>, deps: Deps): void {
  const { ownershipClaims, resources, clock, loginCookie, csrf, loginRedirects, views } = deps;
  router.get(PAGE, show).post(PAGE, parseForm, claim);

  async function show(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    const login = await loginCookie.read(ctx);
    if (!login) return sendToSignIn(ctx, token);
    const agent = await ownershipClaims.find(token);
    if (!agent) return renderExpired(ctx);
    ctx.body = views.render('account/claim-agent', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      name: agent.name,
      agentId: agent.agentId,
      made: describeDay(agent.createdAt),
      ends: describeDay(agent.expiresAt!),
      capabilities: agent.capabilities.map((name) => resources.describe(name) ?? name),
      email: login.account.email,
    });
  }

  async function claim(ctx: Context): Promise<void> {
    const login = await loginCookie.read(ctx);
    const form = readForm(ctx, ClaimForm);
    if (!login) return sendToSignIn(ctx, form.token);
    csrf.check(ctx, form.csrf);
    // The user becomes responsible for the agent, so an unattended browser must not be enough.
    if (!isRecentlyAuthenticated(login.session, clock.now())) return sendToSignIn(ctx, form.token, login.account.email);
    try {
      const { name } = await ownershipClaims.claim(form.token, login.account, ctx.state.meta);
      ctx.body = views.render('account/agent-claimed', { name });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
      renderExpired(ctx);
    }
  }

  function sendToSignIn(ctx: Context, token: string, email?: string): void {
    const returnTo = `${PAGE}?${new URLSearchParams({ token })}`;
    seeOther(ctx, loginRedirects.urlFor('/login', { returnTo, ...(email && { email }) }));
  }

  function renderExpired(ctx: Context): void {
    renderFormErrors(ctx, invalidClaim());
    ctx.body = views.render('sign-in/link-expired', {
      advice: 'An agent can be claimed once, within a week after onboarding. Onboard it again.',
      href: '/account',
      action: 'Your account',
    });
  }
}
