/**
 * An agent asks a person (CIBA, poll mode): `/oauth/ciba` takes the question, and the token
 * endpoint tells the answer. Who may be asked what, and what was decided, is known to
 * core/approvals; here it is put into the words of the protocol.
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
import { APPROVED_SECONDS, type ApprovalRequest } from '../../../core/agent-authorization/approvals.js';
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

/** How long a question can be answered; an agent may ask for less. */
const MAX_QUESTION_SECONDS = 10 * MINUTE_SECONDS;
/** How often an agent may ask for the answer. */
export const INTERVAL_SECONDS = 5;
const MAX_MESSAGE_LENGTH = 100;

/** How questions are taken, as oidc-provider wants it said. */
export function cibaFeatures({ clock, core }: Deps) {
  const { approvals, activeAgents } = core;

  return {
    ciba: {
      enabled: true as const,
      deliveryModes: ['poll' as const],
      validateRequestContext: async (ctx: KoaContextWithOIDC) => void whatIsAsked(ctx, await agentOf(ctx)),
      validateBindingMessage,
      processLoginHint: findApprover,
      processLoginHintToken: async () => unknown(), // there are none
      verifyUserCode: requireRelation,
      triggerAuthenticationDevice: ask,
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
    if (!agent) throw new errors.InvalidClient('the agent is gone');
    return agent;
  }

  async function findApprover(ctx: KoaContextWithOIDC, hint = ''): Promise<string> {
    const agent = await agentOf(ctx);
    return (await inItsWords(ctx, () => approvals.findApprover(agent, hint))) ?? unknown();
  }

  /** Asked of whoever was found, by whatever hint. */
  async function requireRelation(ctx: KoaContextWithOIDC, { accountId }: { accountId: string }): Promise<void> {
    if (!(await approvals.canRequest(await agentOf(ctx), accountId))) unknown();
  }

  async function ask(
    ctx: KoaContextWithOIDC,
    request: BackchannelRequest,
    { accountId }: { accountId: string },
  ): Promise<void> {
    const agent = await agentOf(ctx);
    const { identifier, ...asked } = whatIsAsked(ctx, agent);
    const expiresAt = addSeconds(clock.now(), request.expiration);
    try {
      await inItsWords(ctx, async () => {
        const bindingMessage = String(ctx.oidc.params?.binding_message);
        const grant = await grantFor(ctx, {
          accountId,
          clientId: agent.id,
          identifier,
          scopes: asked.scopes,
          expiresAt,
        });
        const requestId = core.oauthStorage.idOf(request.jti);
        await approvals.request(
          { requestId, agent, accountId, bindingMessage, asked, grant, expiresAt },
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

/** What the person was shown, word for word. */
const authorizationDetailsForAccessToken: AuthorizationDetailsForAccessToken = (_ctx, _token, source) => source?.rar;
const authorizationDetailsForIntrospection: AuthorizationDetailsForIntrospection = (_ctx, token) =>
  'rar' in token ? token.rar : undefined;

/** The same for who is not there and for who has nothing to do with the agent. */
function unknown(): never {
  throw new errors.UnknownUserId('could not identify end-user');
}

/** At most so long, and less if the agent says so. */
export function questionSeconds(ctx: KoaContextWithOIDC | undefined): number {
  const wanted = Number(ctx?.oidc.params?.requested_expiry ?? MAX_QUESTION_SECONDS);
  return Math.min(wanted, MAX_QUESTION_SECONDS);
}

/** A token that a person allowed an agent: it is theirs, and says who acts. */
const isAllowedOnce = (token: { kind: string; gty?: string | undefined }) =>
  token.kind === 'AccessToken' && token.gty === 'ciba';

export const mostSecondsOf = (token: Parameters<typeof isAllowedOnce>[0]) =>
  isAllowedOnce(token) ? APPROVED_SECONDS : Number.POSITIVE_INFINITY;

/** Who acts for the person (RFC 8693, 4.1). */
export const actorClaims = (token: Parameters<typeof isAllowedOnce>[0] & { clientId?: string | undefined }) =>
  isAllowedOnce(token) ? { act: { sub: token.clientId } } : undefined;

/**
 * For one API, scopes that the agent has there, and in words what it wants to do. `identifier` is
 * the API as the agent spells it.
 */
function whatIsAsked({ oidc }: KoaContextWithOIDC, agent: Agent): ApprovalRequest & { identifier: string } {
  const [server, another] = Object.entries(oidc.resourceServers ?? {});
  if (!server || another) throw new errors.InvalidTarget('name one resource');
  const [identifier, { scope, audience: resource = identifier }] = server;
  const known = String(scope ?? '').split(' ');
  const scopes = [...oidc.requestParamScopes].filter(
    (name) => known.includes(name) && agent.capabilities.includes(name),
  );
  if (scopes.length === 0) {
    throw new errors.InvalidScope('name a scope of the resource that this agent has', String(oidc.params?.scope));
  }
  const details = oidc.params?.authorization_details;
  if (typeof details !== 'string') {
    throw new errors.InvalidAuthorizationDetails('say in authorization_details what is to be allowed');
  }
  return { identifier, resource, scopes, actions: parseActions(details, [resource, identifier]) };
}

async function validateBindingMessage(_ctx: KoaContextWithOIDC, message: string | undefined): Promise<void> {
  if (!message) throw new errors.InvalidRequest('binding_message is missing');
  if (message.length <= MAX_MESSAGE_LENGTH && isStorable(message) && isReadable(message)) return;
  throw new errors.InvalidBindingMessage(`use at most ${MAX_MESSAGE_LENGTH} characters that a person can read`);
}

/** Only a person who is asked allows such a thing: not a consent page, and no client by itself. */
async function validateAction({ oidc }: KoaContextWithOIDC, detail: unknown): Promise<void> {
  if (oidc.route !== 'backchannel_authentication') {
    throw new errors.InvalidAuthorizationDetails(`${AGENT_ACTION} is allowed at the CIBA endpoint only`);
  }
  parseAction(detail);
}

/** What a yes will grant, in the form in which the provider keeps it. */
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

/** What core refuses, as the protocol says it. */
async function inItsWords<Result>(ctx: KoaContextWithOIDC, verb: () => Promise<Result>): Promise<Result> {
  try {
    return await verb();
  } catch (error) {
    if (!(error instanceof AppError) || error.status >= 500) throw error;
    if (error.retryAfterSeconds !== undefined) ctx.set('Retry-After', String(error.retryAfterSeconds));
    const [status, code] = error.status === 429 ? [429, error.code] : [403, 'access_denied'];
    throw Object.assign(new errors.CustomOIDCProviderError(code, error.message), { status, statusCode: status });
  }
}
