/**
 * Resource indicators (RFC 8707): the audience and the scopes of access tokens, and their defaults.
 */
import { type Configuration, errors, type KoaContextWithOIDC, type Client as ProviderClient } from 'oidc-provider';
import type { Config } from '../../../base/config.js';
import type { Audiences } from '../../../core/agents/audiences.js';
import type { Resource, Resources } from '../../../core/resources/resources.js';
import { isForClients, type Scope, VALIDATE_SCOPE } from '../../../core/resources/scope.js';
import { registeredScope } from '../patches/incremental-scope.js';
import { agentOf } from '../storage/client-adapter.js';

interface Deps {
  config: Pick<Config, 'accessTokenSeconds' | 'defaultResource'>;
  resources: Pick<Resources, 'own' | 'find' | 'isOpenTo' | 'capabilities'>;
  audiences: Pick<Audiences, 'find' | 'agentIn'>;
}

type Feature = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;

/** The scope of a client that registered no scope and requests none. */
const MINIMUM_SCOPE = 'openid';

/** Returns the resource indicators feature of oidc-provider. */
export function resourceIndicators({ config, resources, audiences }: Deps): Feature {
  const resolved = new WeakMap<KoaContextWithOIDC, Map<string, Promise<Resource>>>();

  return {
    enabled: true,
    defaultResource,
    // An app that also needs a token for userinfo redeems its code without `resource`. An approval
    // always is for the API that its request names.
    useGrantedResource: async (_ctx, { kind, resource }) =>
      kind === 'BackchannelAuthenticationRequest' ||
      (resource !== undefined && [resource].flat().some((identifier) => isDefault(identifier))),
    getResourceServerInfo,
  };

  /**
   * Returns the resource of a request that names none. A token has one audience, so one of the
   * `granted` resources is chosen if there are any.
   */
  async function defaultResource(ctx: KoaContextWithOIDC, client: ProviderClient, granted?: readonly string[]) {
    if (granted) return granted.find(isDefault) ?? granted[0];
    if (agentOf(client)) return resources.own.identifier;
    const resource = configuredDefault(ctx, client);
    if (!resource) await useDefaultScopes(ctx, async () => registeredScope(client) ?? MINIMUM_SCOPE);
    return resource?.identifier;
  }

  /** Returns the configured default API if the request has no scope, or one of the API's scopes. */
  function configuredDefault(ctx: KoaContextWithOIDC, client: ProviderClient): Resource | undefined {
    const resource = config.defaultResource === undefined ? undefined : resources.find(config.defaultResource);
    if (!resource || !resources.isOpenTo(resource, client.clientId)) return undefined;
    const requestedScope = ctx.oidc.params?.scope as string | undefined;
    return requestedScope === undefined ||
      scopeNames(resource, client).some((name) => requestedScope.split(' ').includes(name))
      ? resource
      : undefined;
  }

  async function getResourceServerInfo(ctx: KoaContextWithOIDC, identifier: string, client: ProviderClient) {
    const resource = await requireResource(ctx, identifier, client);
    await useDefaultScopes(ctx, async () => {
      const identifiers = [(ctx.oidc.params?.resource as string | string[] | undefined) ?? identifier].flat();
      const requested = await Promise.all(identifiers.map((each) => requireResource(ctx, each, client)));
      return [...new Set(requested.flatMap((each) => defaultScopes(each, client)))].join(' ');
    });
    return {
      scope: [...scopeNames(resource, client), ...validationScope(ctx, resource, client)].join(' '),
      audience: resource.identifier,
      accessTokenFormat: resource.accessTokenFormat,
      accessTokenTTL: resource.accessTokenTtlSeconds ?? config.accessTokenSeconds,
      jwt: { sign: { alg: 'ES256' as const } },
    };
  }

  /** Returns an API as `findResource` does. Each identifier is resolved once per request. */
  function requireResource(ctx: KoaContextWithOIDC, identifier: string, client: ProviderClient): Promise<Resource> {
    const ofRequest = resolved.get(ctx) ?? new Map<string, Promise<Resource>>();
    resolved.set(ctx, ofRequest);
    const resource = ofRequest.get(identifier) ?? findResource(ctx, identifier, client);
    ofRequest.set(identifier, resource);
    return resource;
  }

  /**
   * Returns an API. Throws `invalid_target` if it does not exist, and also if the client has no
   * access, so that the response does not reveal which.
   */
  async function findResource(
    { oidc }: KoaContextWithOIDC,
    identifier: string,
    client: ProviderClient,
  ): Promise<Resource> {
    // The audience of an approval cannot be another agent, because that agent could use it.
    const isForAgent = audiences.agentIn(identifier) !== undefined;
    if (isForAgent && oidc.route === 'backchannel_authentication') throw new errors.InvalidTarget();
    const resource = await audiences.find(identifier);
    const agent = agentOf(client);
    const isUnclaimed = agent && !agent.claimed && !resource?.openToUnclaimedAgents;
    if (!resource || isUnclaimed || !resources.isOpenTo(resource, client.clientId)) throw new errors.InvalidTarget();
    return resource;
  }

  /**
   * Returns the scopes of an API that a client can have. An agent is limited to its capabilities;
   * in our own API every capability is also a scope.
   */
  function scopesFor(resource: Resource, client: ProviderClient): Scope[] {
    const agent = agentOf(client);
    const names = agent?.capabilities ?? client.scope?.split(' ');
    const candidates = agent && resource.id === resources.own.id ? resources.capabilities() : resource.scopes;
    return candidates.filter((scope) => (agent || isForClients(scope)) && (!names || names.includes(scope.name)));
  }

  function scopeNames(resource: Resource, client: ProviderClient): string[] {
    return scopesFor(resource, client).map(({ name }) => name);
  }

  /**
   * Returns the validation scope for an agent that acts for itself. The scope is not a capability,
   * but tools need it to validate the agent's tokens.
   */
  function validationScope({ oidc }: KoaContextWithOIDC, resource: Resource, client: ProviderClient): string[] {
    const actsForItself = agentOf(client) && oidc.params?.grant_type === 'client_credentials';
    return actsForItself && resource.scopes.some(({ name }) => name === VALIDATE_SCOPE) ? [VALIDATE_SCOPE] : [];
  }

  /** Returns the scopes of a request without `scope`. An agent gets all its scopes. */
  function defaultScopes(resource: Resource, client: ProviderClient): string[] {
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
 * Sets the default scopes of a request without `scope` (RFC 6749, 3.3). A refresh keeps the scopes
 * of its grant.
 */
async function useDefaultScopes({ oidc }: KoaContextWithOIDC, scopes: () => Promise<string>): Promise<void> {
  const { params, route } = oidc;
  const startsTokenFamily = route !== 'token' || params?.grant_type === 'client_credentials';
  if (!params || !startsTokenFamily || params.scope !== undefined) return;
  const defaults = (await scopes())
    .split(' ')
    .filter((name) => name !== 'offline_access' && (route !== 'token' || name !== 'openid'));
  if (defaults.join('') !== '') params.scope = defaults.join(' ');
}
