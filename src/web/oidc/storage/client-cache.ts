/**
 * Caches the client objects of oidc-provider, which otherwise builds a new one in every request.
 * The cache returns the same object as long as `core/clients` returns the same cached record.
 */
import type { Client } from 'oidc-provider';
import type { Client as ClientRecord } from '../../../core/clients/clients.js';
import type { ProviderInternals } from '../provider-internals.js';
import type { ClientResolver } from './client-resolver.js';

/** Patches `Client.find` of a provider. */
export function cacheClients(internals: ProviderInternals, resolveClient: ClientResolver): void {
  const { Client } = internals;
  const find = Client.find.bind(Client);
  const cache = new WeakMap<ClientRecord, Client>();

  Client.find = async function findCached(id) {
    const record = typeof id === 'string' ? await resolveClient(id) : undefined;
    const cached = record && cache.get(record);
    if (cached) return cached;
    const client = await find(id);
    if (record && client) cache.set(record, client);
    return client;
  };
}
