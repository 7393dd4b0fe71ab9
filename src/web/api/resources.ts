/** API resources: the APIs for which clients can request tokens (RFC 8707). For administrators. */

import { z } from 'zod';
import { slicePage } from '../../base/paging.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import { serializeResource } from '../../core/resources/representation.js';
import type { Resource } from '../../core/resources/resources.js';
import type { Scope } from '../../core/resources/scope.js';
import { durationSeconds } from '../../kit/duration.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';
import { MessageResponse } from './schemas.js';

interface Deps extends Pick<Core, 'resources' | 'resourceRegistry'> {
  api: Api;
}

const ScopeSchema = z.object({
  name: boundedString(),
  description: boundedString().describe('The description on the consent page.'),
  default: z.boolean().optional().describe('Whether the scope is granted to requests without `scope`. Default: true.'),
  capability: z.boolean().optional().describe('Whether agents can have this scope. Default: false.'),
});
const ResourceSettings = z.object({
  name: boundedString().describe('The name on the consent page.'),
  scopes: z.array(ScopeSchema),
  access_token_format: z.enum(['jwt', 'opaque']),
  access_token_ttl: boundedString(20)
    .refine((value) => durationSeconds(value) !== undefined, 'Write it as 15m.')
    .nullable()
    .describe('A duration such as 15m. Null: the general setting.'),
  clients: z
    .array(boundedString())
    .nullable()
    .describe('The ids of the clients that can request it. Null: all clients.'),
  unclaimed_agents: z.boolean().describe('Whether unclaimed agents can request it.'),
});
const NewResource = ResourceSettings.partial()
  .required({ name: true })
  .extend({
    identifier: boundedString().describe('The absolute URI used as `aud`. It cannot be changed.'),
  });
const ResourceUpdate = ResourceSettings.partial();
const ResourceSchema = z
  .object({
    id: z.string(),
    identifier: z.string(),
    name: z.string(),
    scopes: z.array(ScopeSchema.required()),
    access_token_format: z.enum(['jwt', 'opaque']),
    access_token_ttl: z.int().nullable().describe('Seconds. Null: the general setting.'),
    clients: z.array(z.string()).nullable(),
    unclaimed_agents: z.boolean(),
    built_in: z.boolean().describe("Signet's own API, or the API of a tool. It cannot be changed here."),
  })
  .meta({ id: 'Resource' });

export function addResources({ api, resources, resourceRegistry }: Deps): void {
  const adminOnly = { accepts: ['session'], admin: true, requireRecentAuthentication: true } as const;
  api.post(
    '/api/v1/resources',
    {
      summary: 'Register an API resource',
      ...adminOnly,
      body: NewResource,
      response: [201, ResourceSchema],
      errors: ['conflict'],
    },
    create,
  );
  api.get(
    '/api/v1/resources',
    {
      summary: 'List API resources',
      accepts: ['session'],
      admin: true,
      query: PageQuery,
      response: [200, z.array(ResourceSchema)],
    },
    list,
  );
  api.patch(
    '/api/v1/resources/:id',
    {
      summary: 'Update an API resource',
      description: 'Absent fields stay unchanged. `scopes` and `clients` replace the existing lists.',
      ...adminOnly,
      body: ResourceUpdate,
      response: [200, ResourceSchema],
      errors: ['not_found', 'conflict'],
    },
    update,
  );
  api.delete(
    '/api/v1/resources/:id',
    {
      summary: 'Delete an API resource',
      description: 'No more tokens are issued for it. Existing tokens stay valid until they expire.',
      ...adminOnly,
      response: [200, MessageResponse],
      errors: ['not_found', 'conflict'],
    },
    remove,
  );

  async function create(ctx: Context, input: z.output<typeof NewResource>, { account }: SessionPrincipal) {
    const { identifier, name, scopes = [] } = input;
    const created = await resourceRegistry.create(
      {
        identifier,
        name,
        scopes: scopes.map(fromWire),
        accessTokenFormat: input.access_token_format ?? 'jwt',
        accessTokenTtlSeconds: secondsOf(input.access_token_ttl) ?? undefined,
        openToAllClients: (input.clients ?? null) === null,
        clientIds: input.clients ?? [],
        openToUnclaimedAgents: input.unclaimed_agents ?? false,
      },
      { kind: 'account', id: account.id },
      ctx.state.meta,
    );
    ctx.body = serialize(created);
  }

  async function list(ctx: Context, page: PageQuery): Promise<void> {
    sendPage(
      ctx,
      slicePage(resources.list(), page, { list: 'resources', keyOf: ({ identifier }) => identifier }),
      serialize,
    );
  }

  async function update(
    ctx: Context,
    input: z.output<typeof ResourceUpdate>,
    { account }: SessionPrincipal,
  ): Promise<void> {
    const {
      name,
      scopes,
      access_token_format: format,
      access_token_ttl: ttl,
      clients,
      unclaimed_agents: agents,
    } = input;
    const changed = await resourceRegistry.update(
      ctx.params.id,
      {
        name,
        scopes: scopes?.map(fromWire),
        accessTokenFormat: format,
        accessTokenTtlSeconds: secondsOf(ttl),
        ...(clients !== undefined && { openToAllClients: clients === null, clientIds: clients ?? [] }),
        openToUnclaimedAgents: agents,
      },
      { kind: 'account', id: account.id },
      ctx.state.meta,
    );
    ctx.body = serialize(changed);
  }

  async function remove(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    await resourceRegistry.remove(ctx.params.id, { kind: 'account', id: account.id }, ctx.state.meta);
    ctx.body = { ok: true, message: 'The API was deleted.' };
  }
}

const serialize = (resource: Resource): z.input<typeof ResourceSchema> => ({
  ...serializeResource(resource),
  built_in: !resource.registered,
});

const fromWire = (scope: z.output<typeof ScopeSchema>): Scope => {
  const { name, description, default: byDefault = true, capability = false } = scope;
  return { name, description, byDefault, capability };
};

const secondsOf = (ttl: string | null | undefined) => (typeof ttl === 'string' ? durationSeconds(ttl) : ttl);
