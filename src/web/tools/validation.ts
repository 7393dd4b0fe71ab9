/** What is asked and answered at POST /api/validate, whichever way the request comes. */
import { z } from 'zod';
import { AppError, type LimitState, unauthorized } from '../../base/app-error.js';
import { createBatchedRateLimit } from '../../base/batched-rate-limit.js';
import { MINUTE_SECONDS } from '../../base/clock.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { AgentPrincipal, ApiKeyPrincipal, OAuthPrincipal, Principal } from '../../core/credentials/principal.js';
import type { CertificateCredential, Validate } from '../../core/tools/validate.js';
import { ErrorAnswer } from '../endpoints/documented-errors.js';
import type { PresentedCredential } from '../endpoints/extract-credential.js';
import { text } from '../endpoints/json-body.js';
import { LevelSchema, serializeToolUser, ToolVisitorSchema } from './schemas.js';

export const VALIDATE = '/api/validate';

export const ValidateRequest = z.object({
  tool: text(100).nullish().describe('The slug of the tool that asks. Without it, only who it is gets answered.'),
  dpop: z
    .object({
      proof: text(4096).describe('What came in the header `DPoP`.'),
      htm: text(20).describe('The method of the request that it came with.'),
      htu: text(2048).describe("The address of that request, under the tool's own URL."),
    })
    .nullish()
    .describe('For a token that is bound to a key (RFC 9449): the proof that the visitor sent to the tool.'),
});

const PrincipalSchema = z.union([
  z.object({
    type: z.literal('api_key'),
    id: z.string(),
    name: z.string(),
    role: z.string().describe('What it may in its organization now.'),
    scopes: z.array(z.string()),
    organization_id: z.string(),
    project_id: z.string().nullable(),
  }),
  z.object({
    type: z.literal('agent'),
    id: z.string(),
    agent_id: z.string(),
    name: z.string(),
    scopes: z.array(z.string()).describe('Its capabilities, as far as this credential stands for them.'),
    organization_id: z.string(),
    claimed: z.boolean().describe('Whether a person answers for it.'),
  }),
  z.object({ type: z.literal('workload'), spiffe_id: z.string() }),
  z.object({ type: z.literal('client'), client_id: z.string(), scopes: z.array(z.string()) }),
]);

export const Valid = z
  .object({
    valid: z.literal(true),
    user: ToolVisitorSchema,
    permission: LevelSchema.nullable().optional().describe('What they may in the tool that asks.'),
    error: z.string().optional().describe('Why `permission` is null.'),
    principal: PrincipalSchema.optional().describe('Who acts, where it is not the person at a keyboard.'),
  })
  .meta({ id: 'Valid' });

export const NotValid = ErrorAnswer.extend({ valid: z.literal(false) }).meta({ id: 'NotValid' });

interface Deps {
  validate: Validate;
  rateLimiter: RateLimiter;
  /** Questions a minute from one address; 0 is no limit. */
  points: number;
}

export type Validation = ReturnType<typeof createValidation>;

export function createValidation({ validate, rateLimiter, points }: Deps) {
  const limit = { name: 'api-validate', points, seconds: MINUTE_SECONDS };
  const allowance = points > 0 ? createBatchedRateLimit({ rateLimiter, limit }) : undefined;

  return { count, respond };

  /** Behind a tool's address stand all its visitors, so it has a limit of its own. */
  async function count(address: string): Promise<LimitState | undefined> {
    return allowance?.consume(rateLimitKey(address));
  }

  /** Whatever is wrong with the credential is told with 401. */
  async function respond(
    present: () => PresentedCredential | CertificateCredential | undefined,
    { tool, dpop }: z.output<typeof ValidateRequest>,
  ): Promise<z.input<typeof Valid>> {
    try {
      const { principal, level } = await validate(demand(present()), tool ?? undefined, dpop ?? undefined);
      return {
        valid: true,
        user: serializeToolUser(principal),
        ...(level !== undefined && { permission: level }),
        ...(level === null && { error: 'No access to this tool' }),
        ...actingFor(principal),
      };
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 401) throw error;
      const { code, message, dpop } = error;
      throw new AppError(401, code, message, { ...(dpop && { dpop }), members: { valid: false } });
    }
  }
}

function demand(
  presented: PresentedCredential | CertificateCredential | undefined,
): PresentedCredential | CertificateCredential {
  if (!presented) throw unauthorized('no_auth', 'Pass on the credential of whoever asks you.');
  return presented;
}

function actingFor(principal: Principal): { principal?: z.input<typeof PrincipalSchema> } {
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
