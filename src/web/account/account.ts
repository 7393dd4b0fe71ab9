/** The account home page: an overview of the account, its sessions, and the apps with access. */
import Router from '@koa/router';
import { z } from 'zod';
import { AppError } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Core } from '../../core/core.js';
import { describeDevice } from '../../core/sessions/devices.js';
import type { Session } from '../../core/sessions/sessions.js';
import type { FederationCookie } from '../cookies/federation-cookie.js';
import type { LoginCookie } from '../cookies/login-cookie.js';
import { parseForm, queryParam, readForm } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { seeOther } from '../http/see-other.js';
import type { Csrf } from '../pages/csrf.js';
import { describeAge, describeDay, describeLastUse } from '../pages/format.js';
import type { LoginRedirects } from '../pages/login-redirect.js';
import { nextPageUrl, pageOf } from '../pages/paging.js';
import type { Views } from '../pages/views.js';
import { addAgentOwnership } from './agent-ownership.js';
import { addAgents } from './agents.js';
import { addApprovals } from './approvals.js';
import { createGuards, sessionOf } from './guards.js';
import { addApiKeys } from './keys.js';
import { addLinks } from './links.js';
import { addNewKeys } from './new-keys.js';
import { addSecurity } from './security.js';
import type { AccountPages } from './view-models.js';

interface Deps
  extends Pick<
    Core,
    | 'agents'
    | 'ownershipClaims'
    | 'apiKeys'
    | 'organizations'
    | 'projects'
    | 'sessions'
    | 'consents'
    | 'clients'
    | 'resources'
    | 'emailVerification'
    | 'mfa'
    | 'passwords'
    | 'passwordReset'
    | 'federation'
    | 'links'
    | 'approvals'
  > {
  issuer: string;
  /** The default lifetime of an API key, in seconds. */
  defaultKeyLifetimeSeconds: number;
  clock: Clock;
  loginCookie: LoginCookie;
  federationCookie: FederationCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<AccountPages>;
}

const CsrfForm = z.object({ csrf: z.string() });
const RemoveAppForm = CsrfForm.extend({ client_id: z.string().min(1).max(2048) });

/** Labels of the OpenID Connect scopes. Scopes of APIs have descriptions of their own. */
const OIDC_SCOPE_LABELS: Record<string, string> = {
  openid: 'Who you are',
  profile: 'Profile',
  email: 'E-mail address',
  phone: 'Phone number',
  address: 'Postal address',
  offline_access: 'Access while you are away',
};

/** Notices by the value of `?notice=`. */
const NOTICES: Record<string, string | undefined> = {
  'link-sent': 'We sent you a link to verify your e-mail address. It works once and expires in one day.',
  'links-sent': 'We have already sent you several links. Check your spam folder, or try again in an hour.',
};

/** Returns the router of all account pages. */
export function createAccountRouter(deps: Deps): Router<State> {
  const {
    sessions,
    consents,
    clients,
    resources,
    emailVerification,
    approvals,
    clock,
    csrf,
    views,
    mfa,
    apiKeys,
    agents,
  } = deps;
  const router = new Router<State>({ sensitive: true });
  const guards = createGuards(deps);
  const { requireLogin } = guards;
  router.get('/account', requireLogin, home);
  router.post('/account/logins/:id/end', requireLogin, parseForm, endSession);
  if (emailVerification.isOffered) router.post('/account/verify-email', requireLogin, parseForm, sendVerificationLink);
  router.post('/account/apps/remove', requireLogin, parseForm, removeApp);
  addAgentOwnership(router, deps);
  addAgents(router, { ...deps, guards });
  addSecurity(router, { ...deps, guards });
  addLinks(router, { ...deps, guards });
  addApprovals(router, { ...deps, guards });
  addNewKeys(router, { ...deps, guards });
  addApiKeys(router, { ...deps, guards });
  return router;

  async function home(ctx: Context): Promise<void> {
    const { account, session } = sessionOf(ctx);
    const shownSessions = await sessions.list(account.id, pageOf(ctx, 'sessions'));
    const shownConsents = await consents.list(account.id, pageOf(ctx, 'apps'));
    ctx.body = views.render('account/home', {
      csrfToken: csrf.tokenFor(ctx),
      account: {
        name: account.name ?? undefined,
        email: account.email,
        emailVerified: account.emailVerified,
        initial: [...(account.name ?? account.email)][0]!.toUpperCase(),
      },
      isAdmin: account.role === 'admin',
      hasSecondFactor: await mfa.isEnrolled(account.id),
      sessions: shownSessions.items.map((one) => toSessionView(one, session.id, clock.now())),
      moreSessions: nextPageUrl(shownSessions, '/account', 'sessions'),
      apps: await Promise.all(shownConsents.items.map(toAppView)),
      moreApps: nextPageUrl(shownConsents, '/account', 'apps'),
      keyCount: await apiKeys.countActive(account.id),
      agentCount: await agents.countFor({ accountId: account.id }),
      pendingApprovalCount: await approvals.countFor(account),
      canVerifyEmail: emailVerification.isOffered && !account.emailVerified,
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
    });
  }

  async function endSession(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    const { account, session } = sessionOf(ctx);
    // Only sessions of this account, so that a user cannot end the session of another one.
    const own = await sessions.findOwn(account.id, ctx.params.id);
    if (own) await sessions.revoke(own.id, own.id === session.id ? 'signed_out' : 'revoked', ctx.state.meta);
    seeOther(ctx, '/account');
  }

  async function sendVerificationLink(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, CsrfForm).csrf);
    try {
      await emailVerification.request(sessionOf(ctx).account);
      seeOther(ctx, '/account?notice=link-sent');
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      seeOther(ctx, '/account?notice=links-sent');
    }
  }

  async function removeApp(ctx: Context): Promise<void> {
    const { csrf: token, client_id: clientId } = readForm(ctx, RemoveAppForm);
    csrf.check(ctx, token);
    await consents.revoke(sessionOf(ctx).account.id, clientId, ctx.state.meta);
    seeOther(ctx, '/account');
  }

  async function toAppView({ clientId, since, scopes }: { clientId: string; since: Date; scopes: string[] }) {
    const client = await clients.find(clientId);
    const { client_uri: homePage } = (client?.metadata ?? {}) as { client_uri?: string };
    return {
      clientId,
      name: client?.name ?? clientId,
      host: homePage ? URL.parse(homePage)?.host : undefined,
      scopes: scopes.map((scope) => OIDC_SCOPE_LABELS[scope] ?? resources.describe(scope)?.replace(/\.$/, '') ?? scope),
      since: describeDay(since),
    };
  }
}

function toSessionView(session: Session, currentId: string, now: Date) {
  const current = session.id === currentId;
  return {
    id: session.id,
    current,
    device: describeDevice(session.userAgent),
    address: session.address ?? '',
    signedIn: describeAge(session.createdAt, now),
    lastSeen: current ? 'now' : describeLastUse(session.lastSeenAt, now),
  };
}
