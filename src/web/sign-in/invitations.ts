/**
 * The page of a mailed invitation. Opening the link changes nothing; the form accepts the
 * invitation. Users who are not signed in can first sign in or sign up, and then return to this
 * page.
 */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Core } from '../../core/core.js';
import { invalidInvitation, type OpenInvitation } from '../../core/invitations/acceptance.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { field, parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { setErrorStatus } from '../pages/error-status.js';
import { describeDay } from '../pages/format.js';
import type { LoginRedirects } from '../pages/login-redirect.js';
import type { Views } from '../pages/views.js';
import type { InvitationPage, SignInPages } from './view-models.js';

interface Deps extends Pick<Core, 'invitations' | 'emailVerification'> {
  signup: 'open' | 'closed';
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<SignInPages>;
}

type NextStep = Pick<InvitationPage, 'canAccept' | 'signIn' | 'switchAccount' | 'verifyEmail'>;

const INVITATION_PATH = '/invitations/accept';
const AcceptForm = z.object({ csrf: field, token: field });

export function createInvitationPages({
  invitations,
  emailVerification,
  signup,
  loginCookie,
  csrf,
  loginRedirects,
  views,
}: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  router.get(INVITATION_PATH, show).post(INVITATION_PATH, parseForm, accept);
  return router;

  async function show(ctx: Context): Promise<void> {
    const token = queryParam(ctx, 'token') ?? '';
    const invitation = await invitations.find(token);
    if (!invitation) return renderInvalidLink(ctx);
    ctx.body = views.render('sign-in/invitation', {
      csrfToken: csrf.tokenFor(ctx),
      token,
      organization: invitation.organization.name,
      inviter: { name: invitation.invitedBy.name ?? undefined, email: invitation.invitedBy.email },
      role: invitation.role,
      email: invitation.email,
      expires: describeDay(invitation.expiresAt),
      ...(await nextStep(ctx, token, invitation)),
    });
  }

  async function nextStep(ctx: Context, token: string, invitation: OpenInvitation): Promise<NextStep> {
    const authenticated = await loginCookie.read(ctx);
    const loginRedirect = { returnTo: urlFor(token), email: invitation.email };
    const loginHref = loginRedirects.urlFor('/login', loginRedirect);
    if (!authenticated) {
      return {
        signIn: {
          loginHref,
          ...(signup === 'open' && { registerHref: loginRedirects.urlFor('/register', loginRedirect) }),
        },
      };
    }
    switch (invitations.obstacleOf(invitation, authenticated.account)) {
      case 'other_address':
        return { switchAccount: { signedInAs: authenticated.account.email, loginHref } };
      case 'unverified':
        return { verifyEmail: { canSend: emailVerification.isOffered } };
      case undefined:
        return { canAccept: true };
    }
  }

  async function accept(ctx: Context): Promise<void> {
    const { csrf: csrfToken, token } = readForm(ctx, AcceptForm);
    csrf.check(ctx, csrfToken);
    const authenticated = await loginCookie.read(ctx);
    if (!authenticated) return seeOther(ctx, urlFor(token)); // signed out in the meantime: the page offers the sign-in
    try {
      const { name: organization, role } = await invitations.accept(token, authenticated, ctx.state.meta);
      ctx.body = views.render('sign-in/invitation-accepted', { organization, role });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      if (error.code === 'not_found') return renderInvalidLink(ctx);
      if (error.code === 'insufficient_role') return seeOther(ctx, urlFor(token));
      throw error;
    }
  }

  function renderInvalidLink(ctx: Context): void {
    setErrorStatus(ctx, invalidInvitation());
    ctx.body = views.render('sign-in/invalid-link', {
      advice: 'An invitation works once, within one week, unless it is revoked. Ask for a new one.',
      href: '/account',
      action: 'Go to your account',
    });
  }
}

const urlFor = (token: string) => `${INVITATION_PATH}?${new URLSearchParams({ token })}`;
