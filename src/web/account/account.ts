/** The account home page: sessions, and apps with access. */
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
import type { Views } from '../pages/views.js';
import { addAgentClaims } from './agent-claims.js';
import { addAgents } from './agents.js';
import { addApprovals } from './approvals.js';
import { createGuards, sessionOf } from './guards.js';
import { addKeys } from './keys.js';
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
  /** Default lifetime of an API key. */
  keySeconds: number;
  clock: Clock;
  loginCookie: LoginCookie;
  federationCookie: FederationCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<AccountPages>;
}

const EndSessionForm = z.object({ csrf: z.string() });
const RemoveForm = EndSessionForm.extend({ client_id: z.string().min(1).max(2048) });

const IDENTITY: Record<string, string> = {
  openid: 'Who you are',
  profile: 'Profile',
  email: 'E-mail address',
  phone: 'Phone number',
  address: 'Postal address',
  offline_access: 'Access while you are away',
};

/** Notices by the value of `?done`. */
const NOTICES: Record<string, string | undefined> = {
  'link-sent': 'A link that confirms your address is on its way to you. It works once, within a day.',
  'links-sent': 'Several links were sent to you already. Look among the junk mail, or try again in an hour.',
};

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
  router.post('/account/logins/:id/end', requireLogin, parseForm, endLogin);
  if (emailVerification.isOffered) router.post('/account/verify-email', requireLogin, parseForm, requestLink);
  router.post('/account/apps/remove', requireLogin, parseForm, removeApp);
  addAgentClaims(router, deps);
  addAgents(router, { ...deps, guards });
  addSecurity(router, { ...deps, guards });
  addLinks(router, { ...deps, guards });
  addApprovals(router, { ...deps, guards });
  addNewKeys(router, { ...deps, guards });
  addKeys(router, { ...deps, guards });
  return router;

  async function home(ctx: Context): Promise<void> {
    const { account, session } = sessionOf(ctx);
    ctx.body = views.render('account/home', {
      csrfToken: csrf.tokenFor(ctx),
      account: {
        name: account.name ?? undefined,
        email: account.email,
        emailVerified: account.emailVerified,
        initial: [...(account.name ?? account.email)][0]!.toUpperCase(),
      },
      isAdmin: account.role === 'admin',
      hasFactor: await mfa.isEnrolled(account.id),
      logins: (await sessions.list(account.id)).map((login) => toRow(login, session.id, clock.now())),
      apps: await Promise.all((await consents.list(account.id)).map(toApp)),
      keys: (await apiKeys.list(account.id)).filter(apiKeys.isActive).length,
      agents: (await agents.listFor({ accountId: account.id })).length,
      openApprovals: (await approvals.list(account)).length,
      canVerifyEmail: emailVerification.isOffered && !account.emailVerified,
      notice: NOTICES[queryParam(ctx, 'notice') ?? ''],
    });
  }

  async function endLogin(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, EndSessionForm).csrf);
    const { account, session } = sessionOf(ctx);
    const own = (await sessions.list(account.id)).find(({ id }) => id === ctx.params.id);
    if (own) await sessions.revoke(own.id, own.id === session.id ? 'signed_out' : 'revoked', ctx.state.meta);
    seeOther(ctx, '/account');
  }

  async function requestLink(ctx: Context): Promise<void> {
    csrf.check(ctx, readForm(ctx, EndSessionForm).csrf);
    try {
      await emailVerification.request(sessionOf(ctx).account);
      seeOther(ctx, '/account?notice=link-sent');
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      seeOther(ctx, '/account?notice=links-sent');
    }
  }

  async function removeApp(ctx: Context): Promise<void> {
    const { csrf: token, client_id: clientId } = readForm(ctx, RemoveForm);
    csrf.check(ctx, token);
    await consents.revoke(sessionOf(ctx).account.id, clientId, ctx.state.meta);
    seeOther(ctx, '/account');
  }

  async function toApp({ clientId, since, scopes }: { clientId: string; since: Date; scopes: string[] }) {
    const client = await clients.find(clientId);
    const { client_uri: home } = (client?.metadata ?? {}) as { client_uri?: string };
    return {
      clientId,
      name: client?.name ?? clientId,
      host: home ? URL.parse(home)?.host : undefined,
      scopes: scopes.map((scope) => IDENTITY[scope] ?? resources.describe(scope)?.replace(/\.$/, '') ?? scope),
      since: describeDay(since),
    };
  }
}

function toRow(session: Session, currentId: string, now: Date) {
  const current = session.id === currentId;
  return {
    id: session.id,
    current,
    device: describeDevice(session.userAgent),
    address: session.address ?? '',
    since: describeAge(session.createdAt, now),
    lastSeen: current ? 'now' : describeLastUse(session.lastSeenAt, now),
  };
}
