/**
 * Lets a self-registered client request more scopes than it registered, as MCP clients do. A client
 * that chooses its own scopes at registration is not restricted by that choice: the API can list
 * its allowed clients, and the user must consent. This applies to the scopes of registered APIs
 * only.
 */
import Provider, { type Client } from 'oidc-provider';
import type { Resources } from '../../../core/resources/resources.js';
import { isForClients } from '../../../core/resources/scope.js';
import type { ProviderInternals } from '../provider-internals.js';

/** The client configuration endpoint (RFC 7592) returns the scope as registered. */
const CONFIGURATION_ROUTES = new Set(['client', 'client_update', 'client_delete']);
const registeredScopes = new WeakMap<object, string>();

/** Returns the `scope` that the client registered. */
export const registeredScope = (client: Client): string | undefined => registeredScopes.get(client) ?? client.scope;

/** Patches `Client.find` of a provider. The provider is rebuilt when an API changes. */
export function patchIncrementalScope(
  internals: ProviderInternals,
  resources: Pick<Resources, 'list' | 'isOpenTo'>,
): void {
  const find = internals.Client.find.bind(internals.Client);

  internals.Client.find = async function findExtended(id) {
    const client = await find(id);
    if (client?.origin === 'registration' && client.scope && !registeredScopes.has(client))
      extendScope(client, client.scope);
    return client;
  };

  function extendScope(client: Client, scope: string): void {
    const open = resources
      .list()
      .filter((resource) => resource.registered && resources.isOpenTo(resource, client.clientId));
    const additional = open.flatMap(({ scopes }) => scopes.filter(isForClients).map(({ name }) => name));
    const all = [...new Set([...scope.split(' '), ...additional])].join(' ');
    registeredScopes.set(client, scope);
    Object.defineProperty(client, 'scope', {
      enumerable: true,
      get: () => (CONFIGURATION_ROUTES.has(Provider.ctx?.oidc.route ?? '') ? scope : all),
    });
  }
}
