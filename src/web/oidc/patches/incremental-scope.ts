/**
 * An app that registered itself names the scopes that it begins with, and asks for more once a tool
 * needs more: so do the clients of MCP. Whoever may name any scope is bound by none that they
 * named. What such an app gets of an API that an administrator registered is for the API to say,
 * which names its clients, and for the person, who is asked again; everywhere else it keeps to what
 * it named.
 */
import Provider, { type Client } from 'oidc-provider';
import type { Resources } from '../../../core/resources/resources.js';
import { isForClients } from '../../../core/resources/scope.js';
import type { ProviderInternals } from '../provider-internals.js';

/** Where a client manages its own registration (RFC 7592): there it reads what it named. */
const ITS_OWN = new Set(['client', 'client_update', 'client_delete']);
const named = new WeakMap<object, string>();

/** What a client named itself, or an administrator gave it. */
export const namedScope = (client: Client): string | undefined => named.get(client) ?? client.scope;

/**
 * Of each client that the provider builds: `scope` reaches as far as it may ask. A provider is
 * built anew when an API changes.
 */
export function patchIncrementalScope(
  internals: ProviderInternals,
  resources: Pick<Resources, 'list' | 'isOpenTo'>,
): void {
  const find = internals.Client.find.bind(internals.Client);

  internals.Client.find = async function findReaching(id) {
    const client = await find(id);
    if (client?.origin === 'registration' && client.scope && !named.has(client)) reachFurther(client, client.scope);
    return client;
  };

  function reachFurther(client: Client, scope: string): void {
    const open = resources.list().filter((one) => one.registered && resources.isOpenTo(one, client.clientId));
    const further = open.flatMap(({ scopes }) => scopes.filter(isForClients).map(({ name }) => name));
    const all = [...new Set([...scope.split(' '), ...further])].join(' ');
    named.set(client, scope);
    Object.defineProperty(client, 'scope', {
      enumerable: true,
      get: () => (ITS_OWN.has(Provider.ctx?.oidc.route ?? '') ? scope : all),
    });
  }
}
