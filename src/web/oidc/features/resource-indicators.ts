/**
 * For which API an access token is meant (RFC 8707), and what is meant when a client says less than
 * it could.
 */
import { type Configuration, errors, type KoaContextWithOIDC, type Client as ProviderClient } from 'oidc-provider';
import type { Config } from '../../../base/config.js';
import type { Audiences } from '../../../core/agents/audiences.js';
import type { Resource, Resources } from '../../../core/resources/resources.js';
import { isForClients, type Scope, VALIDATE_SCOPE } from '../../../core/resources/scope.js';
import { namedScope } from '../patches/incremental-scope.js';
import { agentOf } from '../storage/client-adapter.js';

interface Deps {
  config: Pick<Config, 'accessTokenSeconds' | 'defaultResource'>;
  resources: Pick<Resources, 'own' | 'find' | 'isOpenTo' | 'capabilities'>;
  audiences: Pick<Audiences, 'find' | 'agentIn'>;
}

type Settings = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;

/** Of a client without a scope of its own, when it asks for none. */
const LEAST_SCOPE = 'openid';

export function resourceIndicators({ config, resources, audiences }: Deps): Settings {
  return {
    enabled: true,
    defaultResource,
    // An app that needs a token for userinfo as well redeems its code without `resource`; see
    // README. What a person allowed an agent is for that API alone.
    useGrantedResource: async (_ctx, { kind, resource }) =>
      kind === 'BackchannelAuthenticationRequest' ||
      (resource !== undefined && [resource].flat().some((identifier) => isDefault(identifier))),
    getResourceServerInfo,
  };

  /** `oneOf`: those that were granted together, of which a token can be for one. */
  async function defaultResource(ctx: KoaContextWithOIDC, client: ProviderClient, oneOf?: readonly string[]) {
    if (oneOf) return oneOf.find(isDefault) ?? oneOf[0];
    if (agentOf(client)) return resources.own.identifier;
    const meant = meantBy(ctx, client);
    if (!meant) await useDefaultScopes(ctx, async () => namedScope(client) ?? LEAST_SCOPE);
    return meant?.identifier;
  }

  /** The general default, if the client asks for some of its scopes, or for none at all. */
  function meantBy(ctx: KoaContextWithOIDC, client: ProviderClient): Resource | undefined {
    const resource = config.defaultResource === undefined ? undefined : resources.find(config.defaultResource);
    if (!resource || !resources.isOpenTo(resource, client.clientId)) return undefined;
    const asked = ctx.oidc.params?.scope as string | undefined;
    return asked === undefined || namesFor(resource, client).some((name) => asked.split(' ').includes(name))
      ? resource
      : undefined;
  }

  async function getResourceServerInfo(ctx: KoaContextWithOIDC, identifier: string, client: ProviderClient) {
    const resource = await demand(ctx, identifier, client);
    await useDefaultScopes(ctx, async () => {
      const asked = [(ctx.oidc.params?.resource as string | string[] | undefined) ?? identifier].flat();
      const all = await Promise.all(asked.map((one) => demand(ctx, one, client)));
      return [...new Set(all.flatMap((one) => defaultsOf(one, client)))].join(' ');
    });
    return {
      scope: [...namesFor(resource, client), ...namesForTools(ctx, resource, client)].join(' '),
      audience: resource.identifier,
      accessTokenFormat: resource.accessTokenFormat,
      accessTokenTTL: resource.accessTokenTtlSeconds ?? config.accessTokenSeconds,
      jwt: { sign: { alg: 'ES256' as const } },
    };
  }

  /**
   * Refuses with `invalid_target`, whether it is not there or not for this client: that is nobody
   * else's business.
   */
  async function demand({ oidc }: KoaContextWithOIDC, identifier: string, client: ProviderClient): Promise<Resource> {
    // What a person allows an agent for one thing is not to be passed on.
    const isForAnAgent = audiences.agentIn(identifier) !== undefined;
    if (isForAnAgent && oidc.route === 'backchannel_authentication') throw new errors.InvalidTarget();
    const resource = await audiences.find(identifier);
    const agent = agentOf(client);
    const isStrange = agent && !agent.claimed && !resource?.openToUnclaimedAgents;
    if (!resource || isStrange || !resources.isOpenTo(resource, client.clientId)) throw new errors.InvalidTarget();
    return resource;
  }

  /**
   * What a client can have of an API. An agent's capabilities are its bounds, and mean the same in
   * our own API whoever named them.
   */
  function scopesFor(resource: Resource, client: ProviderClient): Scope[] {
    const agent = agentOf(client);
    const names = agent?.capabilities ?? client.scope?.split(' ');
    const all = agent && resource.id === resources.own.id ? resources.capabilities() : resource.scopes;
    return all.filter((scope) => (agent || isForClients(scope)) && (!names || names.includes(scope.name)));
  }

  function namesFor(resource: Resource, client: ProviderClient): string[] {
    return scopesFor(resource, client).map(({ name }) => name);
  }

  /**
   * What is no capability, and what an agent may ask for all the same as long as it acts for
   * itself: that tools may ask about it.
   */
  function namesForTools({ oidc }: KoaContextWithOIDC, resource: Resource, client: ProviderClient): string[] {
    const actsForItself = agentOf(client) && oidc.params?.grant_type === 'client_credentials';
    return actsForItself && resource.scopes.some(({ name }) => name === VALIDATE_SCOPE) ? [VALIDATE_SCOPE] : [];
  }

  /** An agent that asks for nothing means all that it may. */
  function defaultsOf(resource: Resource, client: ProviderClient): string[] {
    const isAgent = agentOf(client) !== undefined;
    return scopesFor(resource, client)
      .filter(({ byDefault }) => isAgent || byDefault)
      .map(({ name }) => name);
  }

  function isDefault(identifier: string): boolean {
    return (
      config.defaultResource !== undefined && resources.find(identifier) === resources.find(config.defaultResource)
    );
  }
}

/**
 * A client that asks for no scope means the usual ones (RFC 6749, 3.3). A refresh means those that
 * it has.
 */
async function useDefaultScopes({ oidc }: KoaContextWithOIDC, scopes: () => Promise<string>): Promise<void> {
  const { params, route } = oidc;
  const startsFamily = route !== 'token' || params?.grant_type === 'client_credentials';
  if (!params || !startsFamily || params.scope !== undefined) return;
  const usual = (await scopes())
    .split(' ')
    .filter((name) => name !== 'offline_access' && (route !== 'token' || name !== 'openid'));
  if (usual.join('') !== '') params.scope = usual.join(' ');
}
