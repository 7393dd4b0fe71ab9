// APIs for which clients can request tokens.
import { systemMeta } from '../../src/base/request-meta.js';
import type { Resource } from '../../src/core/resources/resources.js';
import type { ResourceInput } from '../../src/core/resources/rules.js';
import type { Scope } from '../../src/core/resources/scope.js';
import type { TestServer } from './server.js';

/**
 * Registers an API that is open to all clients. The description of a scope is its name by default.
 */
export function createResource(
  { core }: Pick<TestServer, 'core'>,
  identifier: string,
  {
    scopes = [],
    ...more
  }: Partial<Omit<ResourceInput, 'identifier' | 'scopes'>> & { scopes?: (Partial<Scope> & { name: string })[] } = {},
): Promise<Resource> {
  const input = {
    identifier,
    name: 'API',
    scopes: scopes.map((scope) => ({ description: scope.name, byDefault: true, capability: false, ...scope })),
    accessTokenFormat: 'jwt' as const,
    accessTokenTtlSeconds: undefined,
    openToAllClients: true,
    clientIds: [],
    openToUnclaimedAgents: false,
    ...more,
  };
  return core.resourceRegistry.create(input, { kind: 'system' }, systemMeta);
}
