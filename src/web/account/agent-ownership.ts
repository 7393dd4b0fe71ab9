/**
 * The page behind an agent's `claim_url`. GET only shows the agent, because link previews must not
 * claim it; POST claims it.
 */
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
import { setErrorStatus } from '../pages/error-status.js';
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

const CLAIM_PATH = '/account/agents/claim';
const OwnershipForm = z.object({ csrf: field, token: field });

/** Adds the routes of the page. It is not behind `requireLogin`, which would drop the token. */
export function addAgentOwnership(router: Router<State>, deps: Deps): void {
  const { ownershipClaims, resources, clock, loginCookie, csrf, loginRedirects, views } = deps;
  router.get(CLAIM_PATH, show).post(CLAIM_PATH, parseForm, takeOwnership);

  async function show(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    const authenticated = await loginCookie.read(ctx);
    if (!authenticated) return redirectToSignIn(ctx, token);
    const agent = await ownershipClaims.find(token);
    if (!agent) return renderInvalidLink(ctx);
    ctx.body = views.render('account/claim-agent', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      name: agent.name,
      agentId: agent.agentId,
      created: describeDay(agent.createdAt),
      expires: describeDay(agent.expiresAt!),
      capabilities: agent.capabilities.map((name) => resources.describe(name) ?? name),
      email: authenticated.account.email,
    });
  }

  async function takeOwnership(ctx: Context): Promise<void> {
    const authenticated = await loginCookie.read(ctx);
    const form = readForm(ctx, OwnershipForm);
    if (!authenticated) return redirectToSignIn(ctx, form.token);
    csrf.check(ctx, form.csrf);
    // Requires step-up, because the user becomes responsible for the agent.
    if (!isRecentlyAuthenticated(authenticated.session, clock.now())) {
      return redirectToSignIn(ctx, form.token, authenticated.account.email);
    }
    try {
      const { name } = await ownershipClaims.claim(form.token, authenticated, ctx.state.meta);
      ctx.body = views.render('account/agent-claimed', { name });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'not_found') throw error;
      renderInvalidLink(ctx);
    }
  }

  function redirectToSignIn(ctx: Context, token: string, email?: string): void {
    const returnTo = `${CLAIM_PATH}?${new URLSearchParams({ token })}`;
    seeOther(ctx, loginRedirects.urlFor('/login', { returnTo, ...(email && { email }) }));
  }

  function renderInvalidLink(ctx: Context): void {
    setErrorStatus(ctx, invalidClaim());
    ctx.body = views.render('sign-in/invalid-link', {
      advice:
        'This link has already been used or has expired. ' +
        'If the agent is not yet claimed, register it again to get a new link.',
      href: '/account',
      action: 'Go to your account',
    });
  }
}
