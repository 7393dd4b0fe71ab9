/**
 * API keys: created, listed, rotated and revoked by the user they act for. The secret is returned
 * once.
 */
import { z } from 'zod';
import { DAY_SECONDS } from '../../base/clock.js';
import { type ApiKey, KEY_ROLES, type KeyRole, MAX_SCOPES } from '../../core/api-keys/api-keys.js';
import { formatWith } from '../../core/api-keys/formats.js';
import type { FreshApiKey } from '../../core/api-keys/records.js';
import type { Core } from '../../core/core.js';
import type { SessionPrincipal } from '../../core/credentials/principal.js';
import { durationSeconds } from '../../kit/duration.js';
import type { Api } from '../endpoints/endpoints.js';
import { boundedString } from '../endpoints/json-body.js';
import { PageQuery, sendPage } from '../endpoints/paging.js';
import type { Context } from '../http/context.js';

interface Deps extends Pick<Core, 'apiKeys'> {
  api: Api;
  /** Default lifetime. */
  defaultLifetimeSeconds: number;
}

const MAX_LIFETIME_DAYS = 3650;

const NewKey = z.object({
  name: boundedString(),
  expires_in_days: z.int().min(1).max(MAX_LIFETIME_DAYS).nullable().optional().describe('Null: never expires.'),
  scopes: z.array(boundedString(200)).max(MAX_SCOPES).optional(),
  role: z
    .enum(KEY_ROLES)
    .optional()
    .describe(
      "The role in the organization, at most the creator's own. Default: the creator's role (`admin` for an owner).",
    ),
  organization_id: boundedString().optional().describe("Default: the user's own organization."),
  project_id: boundedString().optional().describe('Limits the key to this project.'),
  environment: z.enum(['live', 'test']).optional(),
  format: z.enum(['sk', 'cap']).optional(),
});
const RotationBody = z.object({
  grace_period: z
    .union([
      z.int().min(0),
      boundedString(20).refine((value) => durationSeconds(value) !== undefined, 'Write it as 24h.'),
    ])
    .optional()
    .describe('How long the old key stays valid: a duration such as 24h (the default), or seconds.'),
});
const ApiKeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    prefix: z.string(),
    key_hint: z.string().describe('The first characters of the key.'),
    scopes: z.array(z.string()),
    role: z.enum(KEY_ROLES),
    organization_id: z.string(),
    project_id: z.string().nullable(),
    is_active: z.boolean(),
    last_used_at: z.iso.datetime().nullable(),
    usage_count: z.int().describe('Updated with a delay of a few seconds.'),
    expires_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'ApiKey' });
const ApiKeyWithSecretSchema = ApiKeySchema.extend({
  api_key: z.string().describe('The key. Shown once.'),
}).meta({
  id: 'FreshApiKey',
});

export function addApiKeys({ api, apiKeys, defaultLifetimeSeconds }: Deps): void {
  const accepts = ['session'] as const;
  api.post(
    '/api/v1/api-keys',
    {
      summary: 'Create an API key',
      accepts,
      requireRecentAuthentication: true,
      body: NewKey,
      response: [201, ApiKeyWithSecretSchema],
      errors: ['insufficient_role', 'not_found', 'conflict'],
    },
    create,
  );
  api.get(
    '/api/v1/api-keys',
    { summary: 'List my API keys', accepts, query: PageQuery, response: [200, z.array(ApiKeySchema)] },
    list,
  );
  api.delete(
    '/api/v1/api-keys/:id',
    {
      summary: 'Revoke an API key',
      accepts,
      response: [200, z.object({ message: z.string() })],
      errors: ['not_found'],
    },
    revoke,
  );
  api.post(
    '/api/v1/api-keys/:id/rotate',
    {
      summary: 'Rotate an API key',
      accepts,
      requireRecentAuthentication: true,
      body: RotationBody,
      response: [201, ApiKeyWithSecretSchema],
      errors: ['not_found', 'conflict'],
    },
    rotate,
  );

  async function create(
    ctx: Context,
    input: z.output<typeof NewKey>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    const { name, role, scopes, expires_in_days: days, environment = 'live', format = 'sk' } = input;
    const lifeSeconds = days === undefined ? defaultLifetimeSeconds : days && days * DAY_SECONDS;
    const created = await apiKeys.create(
      authenticated,
      {
        name,
        role,
        scopes,
        lifeSeconds,
        format: format === 'cap' ? 'cap' : `sk_${environment}`,
        organizationId: input.organization_id,
        projectId: input.project_id,
      },
      ctx.state.meta,
    );
    ctx.body = serializeWithSecret(created);
  }

  async function list(ctx: Context, page: PageQuery, { account }: SessionPrincipal): Promise<void> {
    sendPage(ctx, await apiKeys.list(account.id, page), serialize);
  }

  async function revoke(ctx: Context, _input: unknown, { account }: SessionPrincipal): Promise<void> {
    await apiKeys.revoke(account.id, ctx.params.id, ctx.state.meta);
    ctx.body = { message: 'API key revoked successfully' };
  }

  async function rotate(
    ctx: Context,
    input: z.output<typeof RotationBody>,
    { authenticated }: SessionPrincipal,
  ): Promise<void> {
    const { grace_period: gracePeriod = DAY_SECONDS } = input;
    const graceSeconds = typeof gracePeriod === 'number' ? gracePeriod : durationSeconds(gracePeriod)!;
    ctx.body = serializeWithSecret(await apiKeys.rotate(authenticated, ctx.params.id, graceSeconds, ctx.state.meta));
  }

  function serializeWithSecret({ key, record }: FreshApiKey): z.input<typeof ApiKeyWithSecretSchema> {
    return { ...serialize(record), api_key: key };
  }

  function serialize(key: ApiKey): z.input<typeof ApiKeySchema> {
    return {
      id: key.id,
      name: key.name,
      prefix: formatWith(key.format).displayPrefix(key.prefix),
      key_hint: `${key.prefix}…`,
      scopes: key.scopes as string[],
      role: key.role as KeyRole,
      organization_id: key.organizationId,
      project_id: key.projectId,
      is_active: apiKeys.isActive(key),
      last_used_at: key.lastUsedAt?.toISOString() ?? null,
      usage_count: Number(key.usageCount),
      expires_at: key.expiresAt?.toISOString() ?? null,
      created_at: key.createdAt.toISOString(),
    };
  }
}
