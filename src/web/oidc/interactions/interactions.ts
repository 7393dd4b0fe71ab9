/**
 * Interactions (`/interaction/:uid`): the only place that decides what an authorization request
 * needs next, a sign-in or consent. Every step returns here; no step calls another.
 */
import { errors } from 'oidc-provider';
import { z } from 'zod';
import { AppError } from '../../../base/app-error.js';
import { type Clock, epochSeconds } from '../../../base/clock.js';
import type { Audiences } from '../../../core/agents/audiences.js';
import type { Consents, GrantedAccess } from '../../../core/consents/consents.js';
import type { Resources } from '../../../core/resources/resources.js';
import { isForClients } from '../../../core/resources/scope.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import { isLoopback } from '../../../kit/loopback.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import { readForm } from '../../http/body.js';
import type { Context } from '../../http/context.js';
import { allowFormRedirect, formTarget, keepOpener } from '../../http/security-headers.js';
import { seeOther } from '../../http/see-other.js';
import type { Csrf } from '../../pages/csrf.js';
import type { LoginRedirect, LoginRedirects } from '../../pages/login-redirect.js';
import type { Views } from '../../pages/views.js';
import { clientCard } from '../pages/client-view.js';
import type { ConsentScope, OidcPages } from '../pages/view-models.js';
import type { Providers } from '../provider/provider.js';
import { documentHost, isUnverified } from '../storage/client-origin.js';

interface Deps {
  clock: Clock;
  consents: Consents;
  resources: Resources;
  audiences: Pick<Audiences, 'find'>;
  providers: Providers;
  loginCookie: LoginCookie;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<OidcPages>;
}

type Provider = Awaited<ReturnType<Providers['current']>>['main'];
type Interaction = Awaited<ReturnType<Provider['interactionDetails']>>;
type Client = NonNullable<Awaited<ReturnType<Provider['Client']['find']>>>;

const Decision = z.object({ csrf: z.string(), decision: z.enum(['allow', 'deny']) });

/** For these reasons any active session is enough; all others require a new authentication. */
const SATISFIED_BY_SESSION = new Set(['no_session']);

const IDENTITY_SCOPES: Record<string, [title: string, description: string]> = {
  openid: ['Who you are', 'Your user ID'],
  profile: ['Your profile', 'Your name, picture, language and plan'],
  email: ['Your e-mail address', 'The address and whether it is verified'],
  phone: ['Your phone number', 'The number and whether it is verified'],
  address: ['Your address', 'The postal address in your profile'],
};

export function createInteractions({
  clock,
  consents,
  resources,
  audiences,
  providers,
  loginCookie,
  csrf,
  loginRedirects,
  views,
}: Deps) {
  return { decide, answer };

  /** GET: continues the authorization, shows the consent page, or redirects to the sign-in page. */
  async function decide(ctx: Context): Promise<void> {
    keepOpener(ctx);
    const { provider, interaction, client } = await load(ctx);
    const login = await loginCookie.read(ctx);
    if (interaction.prompt.name === 'login') {
      const notBefore = await requiredAuthTime(interaction); // stored with the first visit, with or without a session
      if (!login || login.session.authTime.getTime() <= notBefore) return sendToSignIn(ctx, interaction, client);
      return continueSignIn(ctx, provider, interaction, login);
    }
    if (!login) return sendToSignIn(ctx, interaction, client);
    // Another account has signed in meanwhile, so the missing consent must be determined again.
    if (interaction.session?.accountId !== login.account.id) return continueSignIn(ctx, provider, interaction, login);
    await showConsent(ctx, interaction, client, login);
  }

  /** POST: stores the user's decision. */
  async function answer(ctx: Context): Promise<void> {
    keepOpener(ctx);
    const { csrf: token, decision } = readForm(ctx, Decision);
    csrf.check(ctx, token);
    const { provider, interaction, client } = await load(ctx);
    const login = await loginCookie.read(ctx);
    if (interaction.prompt.name !== 'consent' || interaction.session?.accountId !== login?.account.id || !login) {
      return seeOther(ctx, `/interaction/${interaction.uid}`);
    }
    if (decision === 'deny') {
      await consents.deny(login.account.id, client.clientId, ctx.state.meta);
      const denied = { error: 'access_denied', error_description: 'The user denied the request.' };
      return seeOther(
        ctx,
        await provider.interactionResult(ctx.req, ctx.res, denied, { mergeWithLastSubmission: false }),
      );
    }
    await consents.grant(login.account.id, client.clientId, await requested(interaction, client), ctx.state.meta);
    seeOther(
      ctx,
      await provider.interactionResult(ctx.req, ctx.res, { consent: {} }, { mergeWithLastSubmission: true }),
    );
  }

  async function load(ctx: Context) {
    const { main: provider } = await providers.current();
    try {
      const interaction = await provider.interactionDetails(ctx.req, ctx.res);
      const client = await provider.Client.find(String(interaction.params.client_id));
      if (!client || interaction.uid !== ctx.params.uid) throw new errors.SessionNotFound('no such interaction');
      return { provider, interaction, client };
    } catch (error) {
      if (!(error instanceof errors.SessionNotFound)) throw error;
      throw new AppError(400, 'invalid_request', 'This sign-in has expired. Go back to the app and start again.');
    }
  }

  function sendToSignIn(ctx: Context, { uid, params }: Interaction, client: Client): void {
    const email =
      typeof params.login_hint === 'string' && params.login_hint.includes('@') ? params.login_hint : undefined;
    seeOther(ctx, loginRedirects.urlFor('/login', { ...loginRedirectFor(uid, params, client), email }));
  }

  function loginRedirectFor(
    uid: string,
    { redirect_uri: uri }: Interaction['params'],
    { clientName }: Client,
  ): LoginRedirect {
    return {
      returnTo: `/interaction/${uid}`,
      appName: clientName,
      formTarget: typeof uri === 'string' ? formTarget(uri) : undefined,
    };
  }

  /**
   * Returns the time after which the user must have authenticated, in ms since 1970: 0 if any
   * active session is enough, otherwise the time of the first visit.
   */
  async function requiredAuthTime(interaction: Interaction): Promise<number> {
    if (interaction.prompt.reasons.every((reason) => SATISFIED_BY_SESSION.has(reason))) return 0;
    const asked = interaction.result?.asked as { at: number } | undefined;
    if (asked) return asked.at;
    const at = clock.now().getTime();
    interaction.result = { asked: { at } };
    await interaction.persist();
    return at;
  }

  async function continueSignIn(
    ctx: Context,
    provider: Provider,
    interaction: Interaction,
    { account, session, amr }: AuthenticatedSession,
  ): Promise<void> {
    if (interaction.session && interaction.session.uid !== session.id) {
      interaction.session = undefined; // it started in an earlier session
      await interaction.persist();
    }
    const login = { accountId: account.id, ts: epochSeconds(session.authTime), amr };
    seeOther(ctx, await provider.interactionResult(ctx.req, ctx.res, { login }, { mergeWithLastSubmission: false }));
  }

  async function showConsent(
    ctx: Context,
    interaction: Interaction,
    client: Client,
    { account }: AuthenticatedSession,
  ): Promise<void> {
    const { uid, params } = interaction;
    const redirectUri = typeof params.redirect_uri === 'string' ? params.redirect_uri : undefined;
    const wanted = await requested(interaction, client);
    const card = clientCard(client);
    const namedByResource = new Set(Object.values(wanted.resources).flat());
    if (redirectUri) allowFormRedirect(ctx, redirectUri);
    ctx.body = views.render('oidc/consent', {
      action: `/interaction/${uid}`,
      csrfToken: csrf.tokenFor(ctx),
      client: { ...card, host: card.host ?? destinationOf(redirectUri) },
      unverified: isUnverified(client),
      describedAt: documentHost(client),
      local: isLoopback(URL.parse(redirectUri ?? '')?.hostname ?? ''),
      redirectHost: destinationOf(redirectUri),
      account: { name: account.name ?? undefined, email: account.email },
      switchHref: loginRedirects.urlFor('/login', loginRedirectFor(uid, params, client)),
      scopes: [
        ...wanted.scopes.filter((scope) => !namedByResource.has(scope)).flatMap(describeScope),
        ...wanted.claims.map(describeClaim),
      ],
      resources: (
        await Promise.all(
          Object.entries(wanted.resources).map(([identifier, names]) => describeResource(identifier, names)),
        )
      ).flat(),
      offline: wanted.scopes.includes('offline_access'),
    });
  }

  /** Returns the requested access, as far as the client can have it. */
  async function requested({ params, prompt }: Interaction, client: Client): Promise<GrantedAccess> {
    const asked = String(params.scope ?? '')
      .split(' ')
      .filter(Boolean);
    const identifiers = [params.resource ?? []].flat().map(String);
    const allowed = client.scope?.split(' ') ?? resources.clientScopes();
    const named = await Promise.all(
      identifiers.map(async (identifier) => [identifier, await audiences.find(identifier)] as const),
    );
    return {
      scopes: asked.filter((scope) => resources.clientScopes().includes(scope)),
      claims: (prompt.details.missingOIDCClaims as string[] | undefined) ?? [],
      resources: Object.fromEntries(
        named.map(([identifier, resource]) => {
          const names = resource?.scopes.filter(isForClients).map((scope) => scope.name) ?? [];
          return [identifier, names.filter((name) => asked.includes(name) && allowed.includes(name))];
        }),
      ),
    };
  }

  function describeScope(scope: string): ConsentScope[] {
    if (scope === 'offline_access') return [];
    const identity = IDENTITY_SCOPES[scope];
    if (identity) return [{ title: identity[0], description: identity[1], kind: 'identity' }];
    return [{ title: resources.describe(scope)?.replace(/\.$/, '') ?? scope, description: scope, kind: 'api' }];
  }

  function describeClaim(claim: string): ConsentScope {
    return { title: claim.replaceAll('_', ' '), description: 'Requested individually', kind: 'identity' };
  }

  async function describeResource(identifier: string, names: string[]) {
    const resource = await audiences.find(identifier);
    if (!resource || names.length === 0) return [];
    const descriptions = names.map((name) => ({ description: resources.describe(name, identifier) ?? name }));
    return [{ name: resource.name, identifier, scopes: descriptions }];
  }
}

/** Describes where the response goes, for the consent page. */
function destinationOf(redirectUri: string | undefined): string {
  const url = redirectUri ? URL.parse(redirectUri) : null;
  if (!url) return 'the device that shows the code';
  if (url.protocol === 'https:') return url.host;
  return isLoopback(url.hostname) ? `an app on this computer (${url.host})` : `an app on this device (${url.protocol})`;
}
