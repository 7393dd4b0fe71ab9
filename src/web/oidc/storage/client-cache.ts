/**
 * Caches the client objects of oidc-provider. It rebuilds or re-hashes a client's metadata with
 * every request; this cache returns the same object for as long as `core/clients` returns the same
 * cached row.
 */
import type { Client } from 'oidc-provider';
import type { Client as Row } from '../../../core/clients/clients.js';
import type { ProviderInternals } from '../provider-internals.js';
import type { ClientResolver } from './client-resolver.js';

export function createClientCache(internals: ProviderInternals, resolveClient: ClientResolver): void {
  const { Client } = internals;
  const find = Client.find.bind(Client);
  const cache = new WeakMap<Row, Client>();

  Client.find = async function findCached(id) {
    const row = typeof id === 'string' ? await resolveClient(id) : undefined;
    const cached = row && cache.get(row);
    if (cached) return cached;
    const client = await find(id);
    if (row && client) cache.set(row, client);
    return client;
  };
}
