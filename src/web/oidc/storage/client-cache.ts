/**
 * The provider looks a client up with every request, and each time makes a text and a hash of its
 * metadata to find the one that it has built before. What core/clients still remembers as one and
 * the same row is one and the same client here, without that.
 */
import type { Client } from 'oidc-provider';
import type { Client as Row } from '../../../core/clients/clients.js';
import type { ProviderInternals } from '../provider-internals.js';
import type { ClientResolver } from './client-resolver.js';

export function createClientCache(internals: ProviderInternals, resolveClient: ClientResolver): void {
  const { Client } = internals;
  const find = Client.find.bind(Client);
  const built = new WeakMap<Row, Client>();

  Client.find = async function findRemembered(id) {
    const row = typeof id === 'string' ? await resolveClient(id) : undefined;
    const known = row && built.get(row);
    if (known) return known;
    const client = await find(id);
    if (row && client) built.set(row, client);
    return client;
  };
}
