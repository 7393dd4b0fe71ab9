/**
 * Approvals of agent actions with OpenID Connect CIBA, in poll mode. `core/agent-authorization`
 * decides which agent can ask which user; this file implements the protocol.
 */
import {
  type AuthorizationDetailsForAccessToken,
  type AuthorizationDetailsForIntrospection,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import { AppError } from '../../../base/app-error.js';
import { addSeconds, type Clock, epochSeconds, MINUTE_SECONDS } from '../../../base/clock.js';
import { randomToken } from '../../../base/crypto.js';
import { isReadable, isStorable } from '../../../base/text.js';
import type { ApprovalRequest } from '../../../core/agent-authorization/approval.js';
import { APPROVED_SECONDS } from '../../../core/agent-authorization/decisions.js';
import type { Agent } from '../../../core/agents/active-agents.js';
import type { Core } from '../../../core/core.js';
import type { Payload } from '../../../core/oauth-storage/stores.js';
import { type BackchannelRequest, payloadOf } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';
import { AGENT_ACTION, parseAction, parseActions } from './rich-authorization.js';

interface NewGrant {
  accountId: string;
  clientId: string;
  identifier: string;
  scopes: string[];
  expiresAt: Date;
}

interface Deps {
  clock: Clock;
  core: Pick<Core, 'approvals' | 'oauthStorage' | 'activeAgents'>;
}

/** The maximum lifetime of a request. `requested_expiry` can shorten it. */
const MAX_REQUEST_SECONDS = 10 * MINUTE_SECONDS;
/** The minimum time between two polls. */
export const INTERVAL_SECONDS = 5;
const MAX_MESSAGE_LENGTH = 100;

/** Returns the CIBA and rich authorization features of oidc-provider. */
export function cibaFeatures({ clock, core }: Deps) {
  const { approvals, activeAgents } = core;

  return {
    ciba: {
      enabled: true as const,
      deliveryModes: ['poll' as const],
      validateRequestContext: async (ctx: KoaContextWithOIDC) => void requestedApproval(ctx, await agentOf(ctx)),
      validateBindingMessage,
      processLoginHint: findApprover,
      processLoginHintToken: async () => throwUnknownUser(), // not supported
      verifyUserCode: requireRelation,
      triggerAuthenticationDevice: requestApproval,
    },
    richAuthorizationRequests: {
      enabled: true as const,
      types: { [AGENT_ACTION]: { validate: validateAction } },
      authorizationDetailsForGrantSource: () => undefined,
      authorizationDetailsForAccessToken,
      authorizationDetailsForIntrospection,
    },
  };

  async function agentOf(ctx: KoaContextWithOIDC): Promise<Agent> {
    const agent = await activeAgents.find(ctx.oidc.client?.clientId ?? '');
    if (!agent) throw new errors.InvalidClient('the agent was deleted');
    return agent;
  }

  async function findApprover(ctx: KoaContextWithOIDC, hint = ''): Promise<string> {
    const agent = await agentOf(ctx);
    return (await withOAuthErrors(ctx, () => approvals.findApprover(agent, hint))) ?? throwUnknownUser();
  }

  /** Throws `unknown_user_id` unless the agent can ask this account. */
  async function requireRelation(ctx: KoaContextWithOIDC, { accountId }: { accountId: string }): Promise<void> {
    if (!(await approvals.canRequest(await agentOf(ctx), accountId))) throwUnknownUser();
  }

  /** Stores the request, which notifies the user. */
  async function requestApproval(
    ctx: KoaContextWithOIDC,
    request: BackchannelRequest,
    { accountId }: { accountId: string },
  ): Promise<void> {
    const agent = await agentOf(ctx);
    const { identifier, ...requested } = requestedApproval(ctx, agent);
    const expiresAt = addSeconds(clock.now(), request.expiration);
    try {
      await withOAuthErrors(ctx, async () => {
        const bindingMessage = String(ctx.oidc.params?.binding_message);
        const grant = await grantFor(ctx, {
          accountId,
          clientId: agent.id,
          identifier,
          scopes: requested.scopes,
          expiresAt,
        });
        const requestId = core.oauthStorage.idOf(request.jti);
        await approvals.request(
          { requestId, agent, accountId, bindingMessage, requested, grant, expiresAt },
          metaFrom(ctx),
        );
      });
    } catch (error) {
      await request.destroy();
      throw error;
    }
    Object.assign(ctx.body as object, { interval: INTERVAL_SECONDS });
  }
}

/** Tokens carry the authorization details exactly as the user saw them. */
const authorizationDetailsForAccessToken: AuthorizationDetailsForAccessToken = (_ctx, _token, source) => source?.rar;
const authorizationDetailsForIntrospection: AuthorizationDetailsForIntrospection = (_ctx, token) =>
  'rar' in token ? token.rar : undefined;

/** Throws the same error for a missing account and for one that this agent cannot ask. */
function throwUnknownUser(): never {
  throw new errors.UnknownUserId('could not identify end-user');
}

/** Returns the lifetime of a CIBA request. */
export function cibaRequestSeconds(ctx: KoaContextWithOIDC | undefined): number {
  const requestedSeconds = Number(ctx?.oidc.params?.requested_expiry ?? MAX_REQUEST_SECONDS);
  return Math.min(requestedSeconds, MAX_REQUEST_SECONDS);
}

/** Reports whether a token was issued for an approval. Its subject is then the user. */
const isForApproval = (token: { kind: string; gty?: string | undefined }) =>
  token.kind === 'AccessToken' && token.gty === 'ciba';

/** Returns the maximum lifetime of a token in seconds. */
export const maxTokenSeconds = (token: Parameters<typeof isForApproval>[0]) =>
  isForApproval(token) ? APPROVED_SECONDS : Number.POSITIVE_INFINITY;

/** Returns the `act` claim of a token for an approval (RFC 8693, 4.1). */
export const actorClaims = (token: Parameters<typeof isForApproval>[0] & { clientId?: string | undefined }) =>
  isForApproval(token) ? { act: { sub: token.clientId } } : undefined;

/**
 * Returns the requested approval: one API, scopes that the agent has there, and a description of
 * the action. `identifier` is the API's identifier as the request spells it.
 */
function requestedApproval({ oidc }: KoaContextWithOIDC, agent: Agent): ApprovalRequest & { identifier: string } {
  const [server, another] = Object.entries(oidc.resourceServers ?? {});
  if (!server || another) throw new errors.InvalidTarget('resource must name one API');
  const [identifier, { scope, audience: resource = identifier }] = server;
  const resourceScopes = String(scope ?? '').split(' ');
  const scopes = [...oidc.requestParamScopes].filter(
    (name) => resourceScopes.includes(name) && agent.capabilities.includes(name),
  );
  if (scopes.length === 0) {
    throw new errors.InvalidScope(
      'scope must contain a scope of the resource that this agent has',
      String(oidc.params?.scope),
    );
  }
  const details = oidc.params?.authorization_details;
  if (typeof details !== 'string') {
    throw new errors.InvalidAuthorizationDetails('authorization_details must describe the action');
  }
  return { identifier, resource, scopes, actions: parseActions(details, [resource, identifier]) };
}

async function validateBindingMessage(_ctx: KoaContextWithOIDC, message: string | undefined): Promise<void> {
  if (!message) throw new errors.InvalidRequest('binding_message is missing');
  if (message.length <= MAX_MESSAGE_LENGTH && isStorable(message) && isReadable(message)) return;
  throw new errors.InvalidBindingMessage(`binding_message must have at most ${MAX_MESSAGE_LENGTH} readable characters`);
}

/** Rejects actions in other requests: only an approval can allow one, not the consent page. */
async function validateAction({ oidc }: KoaContextWithOIDC, detail: unknown): Promise<void> {
  if (oidc.route !== 'backchannel_authentication') {
    throw new errors.InvalidAuthorizationDetails(`${AGENT_ACTION} is allowed at the CIBA endpoint only`);
  }
  parseAction(detail);
}

/** Returns the grant that takes effect with the approval, as oidc-provider stores it. */
async function grantFor(
  { oidc }: KoaContextWithOIDC,
  { accountId, clientId, identifier, scopes, expiresAt }: NewGrant,
): Promise<{ id: string; payload: Payload }> {
  const grant = new oidc.provider.Grant({ accountId, clientId });
  grant.addOIDCScope('openid');
  grant.addResourceScope(identifier, scopes.join(' '));
  const id = randomToken();
  Object.assign(grant, { jti: id, exp: epochSeconds(addSeconds(expiresAt, APPROVED_SECONDS)) });
  return { id, payload: await payloadOf(grant) };
}

/** Runs an operation and converts its `AppError` to an OAuth error. */
async function withOAuthErrors<Result>(ctx: KoaContextWithOIDC, operation: () => Promise<Result>): Promise<Result> {
  try {
    return await operation();
  } catch (error) {
    if (!(error instanceof AppError) || error.status >= 500) throw error;
    if (error.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(error.retryAfterSeconds));
    const [status, code] = error.status === 429 ? [429, error.code] : [403, 'access_denied'];
    throw Object.assign(new errors.CustomOIDCProviderError(code, error.message), { status, statusCode: status });
  }
}
