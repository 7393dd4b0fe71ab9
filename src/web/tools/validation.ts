/** Request and response of `POST /api/validate`, for Koa and for the direct route. */
import { z } from 'zod';
import { AppError, type LimitState, unauthorized } from '../../base/app-error.js';
import { createBatchedRateLimit } from '../../base/batched-rate-limit.js';
import { MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { AgentPrincipal, ApiKeyPrincipal, OAuthPrincipal, Principal } from '../../core/credentials/principal.js';
import type { CertificateCredential, Validate } from '../../core/tools/validate.js';
import { ErrorBody } from '../endpoints/documented-errors.js';
import type { PresentedCredential } from '../endpoints/extract-credential.js';
import { boundedString } from '../endpoints/json-body.js';
import { LevelSchema, serializePrincipal, UserSchema } from './schemas.js';

export const VALIDATE = '/api/validate';

export const ValidateRequest = z.object({
  tool: boundedString(100)
    .nullish()
    .describe('The slug of the calling tool. Without it, the response has no `permission`.'),
  dpop: z
    .object({
      proof: boundedString(4096).describe('The value of the header `DPoP`.'),
      htm: boundedString(20).describe("The HTTP method of the visitor's request."),
      htu: boundedString(2048).describe("The URL of the visitor's request, below the tool's URL."),
    })
    .nullish()
    .describe('The DPoP proof that the visitor sent to the tool, for a DPoP-bound token (RFC 9449).'),
});

const PrincipalSchema = z.union([
  z.object({
    type: z.literal('api_key'),
    id: z.string(),
    name: z.string(),
    role: z.string().describe('The current role in its organization.'),
    scopes: z.array(z.string()),
    organization_id: z.string(),
    project_id: z.string().nullable(),
  }),
  z.object({
    type: z.literal('agent'),
    id: z.string(),
    agent_id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()).describe("The agent's capabilities that the credential includes."),
    organization_id: z.string(),
    claimed: z.boolean().describe('Whether a user has claimed the agent.'),
  }),
  z.object({ type: z.literal('workload'), spiffe_id: z.string() }),
  z.object({ type: z.literal('client'), client_id: z.string(), scopes: z.array(z.string()) }),
]);

export const Valid = z
  .object({
    valid: z.literal(true),
    user: UserSchema,
    permission: LevelSchema.nullable().optional().describe("The visitor's access level in the tool. Null: no access."),
    error: z.string().optional().describe('The reason if `permission` is null.'),
    principal: PrincipalSchema.optional().describe('The actor, if it is not the user.'),
  })
  .meta({ id: 'Valid' });

export const NotValid = ErrorBody.extend({ valid: z.literal(false) }).meta({ id: 'NotValid' });

interface Deps {
  validate: Validate;
  rateLimiter: RateLimiter;
  /** Requests per minute and address. 0: no limit. */
  requestsPerMinute: number;
}

export type Validation = ReturnType<typeof createValidation>;

export function createValidation({ validate, rateLimiter, requestsPerMinute }: Deps) {
  const limit = { name: 'api-validate', points: requestsPerMinute, seconds: MINUTE_SECONDS };
  const batchedLimit = requestsPerMinute > 0 ? createBatchedRateLimit({ rateLimiter, limit }) : undefined;

  return { count, respond };

  /** A separate limit, because a tool's address sends the requests of all its visitors. */
  async function count(address: string): Promise<LimitState | undefined> {
    return batchedLimit?.consume(rateLimitKey(address));
  }

  /** Responds with 401 to any error of the credential. */
  async function respond(
    present: () => PresentedCredential | CertificateCredential | undefined,
    { tool, dpop }: z.output<typeof ValidateRequest>,
  ): Promise<z.input<typeof Valid>> {
    try {
      const { principal, level } = await validate(requireCredential(present()), tool ?? undefined, dpop ?? undefined);
      return {
        valid: true,
        user: serializePrincipal(principal),
        ...(level !== undefined && { permission: level }),
        ...(level === null && { error: 'No access to this tool' }),
        ...principalMember(principal),
      };
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 401) throw error;
      const { code, message, dpop } = error;
      throw new AppError(401, code, message, { ...(dpop && { dpop }), members: { valid: false } });
    }
  }
}

function requireCredential(
  presented: PresentedCredential | CertificateCredential | undefined,
): PresentedCredential | CertificateCredential {
  if (!presented) throw unauthorized('no_auth', "Send the credential of your tool's visitor.");
  return presented;
}

function principalMember(principal: Principal): { principal?: z.input<typeof PrincipalSchema> } {
  if (principal.kind === 'api-key') return { principal: toKey(principal) };
  if (principal.kind === 'oauth') return { principal: toClient(principal) };
  if (principal.kind === 'agent') return { principal: toAgent(principal) };
  if (principal.kind === 'workload') return { principal: { type: 'workload', spiffe_id: principal.spiffeId } };
  return {};
}

const toKey = ({ key, role }: ApiKeyPrincipal): z.input<typeof PrincipalSchema> => ({
  type: 'api_key',
  id: key.id,
  name: key.name,
  role,
  scopes: key.scopes as string[],
  organization_id: key.organizationId,
  project_id: key.projectId,
});

const toAgent = ({ agent, scopes }: AgentPrincipal): z.input<typeof PrincipalSchema> => ({
  type: 'agent',
  id: agent.id,
  agent_id: agent.agentId,
  name: agent.name,
  scopes: scopes.filter((name) => agent.capabilities.includes(name)),
  organization_id: agent.organizationId,
  claimed: agent.claimed,
});

const toClient = ({ clientId, scopes }: OAuthPrincipal): z.input<typeof PrincipalSchema> => ({
  type: 'client',
  client_id: clientId,
  scopes,
});
