/** The consent page: describes to the user the access that a client requests. */
import type { Audiences } from '../../../core/agents/audiences.js';
import type { GrantedAccess } from '../../../core/consents/consents.js';
import type { Resources } from '../../../core/resources/resources.js';
import { isForClients } from '../../../core/resources/scope.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import { isLoopback } from '../../../kit/loopback.js';
import type { Context } from '../../http/context.js';
import type { Csrf } from '../../pages/csrf.js';
import type { LoginRedirects } from '../../pages/login-redirect.js';
import type { Views } from '../../pages/views.js';
import { toClientView } from '../pages/client-view.js';
import type { ConsentScope, OidcPages } from '../pages/view-models.js';
import { documentHost, isUnverified } from '../storage/client-origin.js';
import { type Client, type Interaction, loginRedirectFor } from './interaction.js';

interface Deps {
  resources: Resources;
  audiences: Pick<Audiences, 'find'>;
  csrf: Csrf;
  loginRedirects: LoginRedirects;
  views: Views<OidcPages>;
}

const IDENTITY_SCOPES: Record<string, [title: string, description: string]> = {
  openid: ['Who you are', 'Your user ID'],
  profile: ['Your profile', 'Your name, picture, language and plan'],
  email: ['Your e-mail address', 'The address and whether it is verified'],
  phone: ['Your phone number', 'The number and whether it is verified'],
  address: ['Your address', 'The postal address in your profile'],
};

export type ConsentPage = ReturnType<typeof createConsentPage>;

export function createConsentPage({ resources, audiences, csrf, loginRedirects, views }: Deps) {
  return { show, requestedAccess };

  /** Shows the consent page. */
  async function show(
    ctx: Context,
    interaction: Interaction,
    client: Client,
    { account }: AuthenticatedSession,
  ): Promise<void> {
    const { uid, params } = interaction;
    const redirectUri = typeof params.redirect_uri === 'string' ? params.redirect_uri : undefined;
    const access = await requestedAccess(interaction, client);
    const view = toClientView(client);
    const resourceScopes = new Set(Object.values(access.resources).flat());
    ctx.body = views.render('oidc/consent', {
      action: `/interaction/${uid}`,
      csrfToken: csrf.tokenFor(ctx),
      client: { ...view, host: view.host ?? destinationOf(redirectUri) },
      unverified: isUnverified(client),
      documentHost: documentHost(client),
      isLoopback: isLoopback(URL.parse(redirectUri ?? '')?.hostname ?? ''),
      redirectHost: destinationOf(redirectUri),
      account: { name: account.name ?? undefined, email: account.email },
      switchHref: loginRedirects.urlFor('/login', loginRedirectFor(uid, client)),
      scopes: [
        ...access.scopes.filter((scope) => !resourceScopes.has(scope)).flatMap(describeScope),
        ...access.claims.map(describeClaim),
      ],
      resources: (
        await Promise.all(
          Object.entries(access.resources).map(([identifier, names]) => describeResource(identifier, names)),
        )
      ).flat(),
      offlineAccess: access.scopes.includes('offline_access'),
    });
  }

  /** Returns the requested access, limited to what the client can have. */
  async function requestedAccess({ params, prompt }: Interaction, client: Client): Promise<GrantedAccess> {
    const scopes = String(params.scope ?? '')
      .split(' ')
      .filter(Boolean);
    const identifiers = [params.resource ?? []].flat().map(String);
    const allowed = client.scope?.split(' ') ?? resources.clientScopes();
    const named = await Promise.all(
      identifiers.map(async (identifier) => [identifier, await audiences.find(identifier)] as const),
    );
    return {
      scopes: scopes.filter((scope) => resources.clientScopes().includes(scope)),
      claims: (prompt.details.missingOIDCClaims as string[] | undefined) ?? [],
      resources: Object.fromEntries(
        named.map(([identifier, resource]) => {
          const names = resource?.scopes.filter(isForClients).map((scope) => scope.name) ?? [];
          return [identifier, names.filter((name) => scopes.includes(name) && allowed.includes(name))];
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

/** Describes the destination of the response for the user. */
function destinationOf(redirectUri: string | undefined): string {
  const url = redirectUri ? URL.parse(redirectUri) : null;
  if (!url) return 'the device that shows the code';
  if (url.protocol === 'https:') return url.host;
  return isLoopback(url.hostname) ? `an app on this computer (${url.host})` : `an app on this device (${url.protocol})`;
}
