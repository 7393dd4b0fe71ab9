/** An API resource as it is told of, over the wire and by the command line. */
import type { Resource } from './resources.js';

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
