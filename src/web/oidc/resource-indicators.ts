/** For which API an access token is meant (RFC 8707), and what is meant when a client says less than it could. */
import { type Configuration, errors, type KoaContextWithOIDC, type Client as ProviderClient } from 'oidc-provider';
import type { Config } from '../../base/config.js';
import type { Resource, Resources, Scope } from '../../core/resources/resources.js';

interface Needs {
  config: Pick<Config, 'accessTokenSeconds' | 'defaultResource'>;
  resources: Pick<Resources, 'find' | 'isOpenTo' | 'scopes'>;
}

type Settings = NonNullable<NonNullable<Configuration['features']>['resourceIndicators']>;

/** Of a client without a scope of its own, when it asks for none. */
const LEAST_SCOPE = 'openid';

export function resourceIndicators({ config, resources }: Needs): Settings {
  return {
    enabled: true,
    defaultResource,
    // An app that needs a token for userinfo as well redeems its code without `resource`; see README. What a person allowed an agent
    // is for that API alone.
    useGrantedResource: async (_ctx, { kind, resource }) =>
      kind === 'BackchannelAuthenticationRequest' ||
      (resource !== undefined && [resource].flat().some((identifier) => isDefault(identifier))),
    getResourceServerInfo,
  };

  /** `oneOf`: those that were granted together, of which a token can be for one. */
  async function defaultResource(ctx: KoaContextWithOIDC, client: ProviderClient, oneOf?: readonly string[]) {
    if (oneOf) return oneOf.find(isDefault) ?? oneOf[0];
    const meant = meantBy(ctx, client);
    if (!meant) useDefaultScopes(ctx, () => client.scope ?? LEAST_SCOPE);
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
    const resource = demand(identifier, client);
    useDefaultScopes(ctx, () => {
      const asked = [(ctx.oidc.params?.resource as string | string[] | undefined) ?? identifier].flat();
      return [...new Set(asked.flatMap((one) => defaultsOf(demand(one, client), client)))].join(' ');
    });
    return {
      scope: namesFor(resource, client).join(' '),
      audience: resource.identifier,
      accessTokenFormat: resource.accessTokenFormat,
      accessTokenTTL: resource.accessTokenTtlSeconds ?? config.accessTokenSeconds,
      jwt: { sign: { alg: 'ES256' as const } },
    };
  }

  /** Refuses with `invalid_target`, whether it is not there or not for this client: that is nobody else's business. */
  function demand(identifier: string, client: ProviderClient): Resource {
    const resource = resources.find(identifier);
    if (!resource || !resources.isOpenTo(resource, client.clientId)) throw new errors.InvalidTarget();
    return resource;
  }

  function namesFor({ scopes }: Resource, client: ProviderClient): string[] {
    return mayHave(scopes, client);
  }

  function defaultsOf({ scopes }: Resource, client: ProviderClient): string[] {
    return mayHave(
      scopes.filter(({ byDefault }) => byDefault),
      client,
    );
  }

  /** Who is bound to no scopes may have all that are for apps: not each scope of an API is. */
  function mayHave(scopes: Scope[], { scope }: ProviderClient): string[] {
    const allowed = scope?.split(' ') ?? resources.scopes();
    return scopes.map(({ name }) => name).filter((name) => allowed.includes(name));
  }

  function isDefault(identifier: string): boolean {
    return (
      config.defaultResource !== undefined && resources.find(identifier) === resources.find(config.defaultResource)
    );
  }
}

/** A client that asks for no scope means the usual ones (RFC 6749, 3.3). A refresh means those that it has. */
function useDefaultScopes({ oidc }: KoaContextWithOIDC, scopes: () => string): void {
  const { params, route } = oidc;
  const begins = route !== 'token' || params?.grant_type === 'client_credentials';
  if (!params || !begins || params.scope !== undefined) return;
  const usual = scopes()
    .split(' ')
    .filter((name) => name !== 'offline_access' && (route !== 'token' || name !== 'openid'));
  if (usual.join('') !== '') params.scope = usual.join(' ');
}
