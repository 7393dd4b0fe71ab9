/**
 * Token exchange (RFC 8693), with which an agent acts for a user. The subject token must have the
 * agent as its audience or in `may_act`. In the issued token, `sub` is the user and `act.sub` is
 * the agent. There is no refresh token. `core/agent-authorization` decides; this file implements
 * the protocol.
 */
import { errors, type TokenEndpointGrantContext } from 'oidc-provider';
import {
  buildTokenResponse,
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  resolveRequestedResources,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js';
import { type Clock, epochSeconds } from '../../../base/clock.js';
import type { Delegation, Delegations } from '../../../core/agent-authorization/delegations.js';
import { TOKEN_EXCHANGE_GRANT } from '../../../core/agents/client.js';
import { metaFrom } from '../request-meta.js';
import { agentOf } from '../storage/client-adapter.js';

interface Deps {
  clock: Clock;
  delegations: Delegations;
}

interface Parameters {
  subject_token?: string;
  subject_token_type?: string;
  requested_token_type?: string;
  actor_token?: string;
  audience?: string;
  scope?: string;
}

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

const issuedDelegations = new WeakMap<object, Delegation>();

/** Returns the delegation claims of a token that this grant has just issued. */
export function delegationClaims(token: object): object {
  const { act, grantId: gid, sessionId: sid } = issuedDelegations.get(token) ?? {};
  return act ? { act, gid, ...(sid && { sid }) } : {};
}

/** Returns the grant type with its parameters and handler. */
export function tokenExchange({ clock, delegations }: Deps) {
  return {
    grantType: TOKEN_EXCHANGE_GRANT,
    parameters: [
      'subject_token',
      'subject_token_type',
      'requested_token_type',
      'actor_token',
      'actor_token_type',
      'audience',
      'resource',
      'scope',
    ],
    handler,
  };

  async function handler(ctx: TokenEndpointGrantContext<Parameters>): Promise<void> {
    const { provider, client, params } = ctx.oidc;
    const agent = agentOf(client);
    if (!agent) throw invalidRequest('only agents can exchange tokens');
    rejectOtherTokenTypes(params);
    const proof = await validateDpop(provider, ctx);
    const certificate = checkMtlsCert(provider, ctx);
    checkDpopRequired(provider, ctx, proof);

    const delegation = await delegations.find(client.clientId, agent, String(params.subject_token));
    if ('error' in delegation) throw invalidRequest(delegation.error); // RFC 8693, 2.2.2
    const [resourceServer, another] = await resolveRequestedResources(provider, ctx);
    if (!resourceServer || another) throw invalidTarget('resource must name one API');
    const denialReason = await delegations.denialReason(String(resourceServer.audience), delegation);
    if (denialReason) throw invalidTarget(denialReason);
    const scope = resolveScope(params.scope, delegation.scopes, resourceServer.scope);

    const secondsLeft = epochSeconds(delegation.expiresAt) - epochSeconds(clock.now());
    const token = new provider.AccessToken({
      accountId: delegation.accountId,
      client,
      gty: 'token_exchange',
      scope,
      expiresIn: Math.min(resourceServer.accessTokenTTL ?? secondsLeft, secondsLeft),
    } as never);
    token.resourceServer = resourceServer;
    if (certificate) token.setThumbprint('x5t', certificate);
    if (proof) {
      await checkDpopReplay(provider, ctx, proof, client.clientId);
      token.setThumbprint('jkt', proof.thumbprint);
    }
    issuedDelegations.set(token, delegation);
    ctx.oidc.entity('AccessToken', token);
    const accessToken = await token.save();
    await delegations.auditExchange(client.clientId, delegation, scope, metaFrom(ctx));
    ctx.body = buildTokenResponse(provider, {
      accessToken,
      expiresIn: token.expiration,
      issuedTokenType: ACCESS_TOKEN,
      scope,
      tokenType: token.tokenType,
    });
  }
}

/** Rejects all token types except access tokens, and an actor token: the actor is the client. */
function rejectOtherTokenTypes(params: Parameters): void {
  const { subject_token: subject, subject_token_type: type, requested_token_type: requested = ACCESS_TOKEN } = params;
  if (!subject || !type) throw invalidRequest('missing required parameters subject_token, subject_token_type');
  if (type !== ACCESS_TOKEN && type !== JWT) throw invalidRequest('only access tokens can be exchanged');
  if (requested !== ACCESS_TOKEN && requested !== JWT) throw invalidRequest('only access tokens can be issued');
  if (params.actor_token) throw invalidRequest('the actor is the client itself: omit actor_token');
  if (params.audience) throw invalidTarget('use resource instead of audience');
}

/** Returns the requested scopes if all are allowed, or all allowed scopes if none is requested. */
function resolveScope(requested: string | undefined, delegated: string[], resourceScope = ''): string {
  const resourceScopes = resourceScope.split(' ');
  const allowed = delegated.filter((name) => resourceScopes.includes(name));
  const scopes = requested?.split(' ').filter(Boolean) ?? allowed;
  const excess = scopes.find((name) => !allowed.includes(name));
  if (excess) throw invalidScope('the user, the agent or the resource does not allow this scope', excess);
  if (scopes.length === 0) throw invalidScope('no scope is allowed for this agent', requested ?? '');
  return [...new Set(scopes)].join(' ');
}

/** Errors whose reason is returned and also audited. It must not contain values of the request. */
const invalidRequest = (reason: string) => new errors.InvalidRequest(reason, undefined, reason);
const invalidTarget = (reason: string) => new errors.InvalidTarget(reason, reason);
const invalidScope = (reason: string, scope: string) => new errors.InvalidScope(reason, scope, reason);
