/** The JSON form of API resources, for the JSON API and the command line. */
import type { Resource } from './resources.js';

/** Returns the resource as JSON. `access_token_ttl` is in seconds. */
export function serializeResource(resource: Resource) {
  return {
    id: resource.id,
    identifier: resource.identifier,
    name: resource.name,
    scopes: resource.scopes.map(({ byDefault, ...scope }) => ({ ...scope, default: byDefault })),
    access_token_format: resource.accessTokenFormat,
    access_token_ttl: resource.accessTokenTtlSeconds ?? null,
    clients: resource.openToAllClients ? null : resource.clientIds,
    unclaimed_agents: resource.openToUnclaimedAgents,
  };
}
