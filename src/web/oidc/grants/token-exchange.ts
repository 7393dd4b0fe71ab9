/**
 * Token exchange (RFC 8693), by which an agent acts for a person: a token that names the agent
 * becomes one of its own, in which `sub` is the person and `act.sub` the agent. There is no refresh
 * token, and the new token is bound to the agent's key if it shows one. Whether it may is decided
 * in core/delegations; here the request is read and the token made.
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

const delegations = new WeakMap<object, Delegation>();

/** What a token that was just made says of who acts for whom, and of what it lives by. */
export function delegationClaims(token: object): object {
  const { act, grantId: gid, sessionId: sid } = delegations.get(token) ?? {};
  return act ? { act, gid, ...(sid && { sid }) } : {};
}

export function tokenExchange({ clock, delegations: known }: Deps) {
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
    if (!agent) throw invalidRequest('only agents exchange tokens');
    rejectOtherTokenTypes(params);
    const proof = await validateDpop(provider, ctx);
    const certificate = checkMtlsCert(provider, ctx);
    checkDpopRequired(provider, ctx, proof);

    const found = await known.find(client.clientId, agent, String(params.subject_token));
    if ('error' in found) throw invalidRequest(found.error); // RFC 8693, 2.2.2
    const [resourceServer, another] = await resolveRequestedResources(provider, ctx);
    if (!resourceServer || another) throw invalidTarget('a token is for one resource');
    const unfit = await known.denialReason(String(resourceServer.audience), found);
    if (unfit) throw invalidTarget(unfit);
    const scope = resolveScope(params.scope, found.scopes, resourceServer.scope);

    const left = epochSeconds(found.expiresAt) - epochSeconds(clock.now());
    const token = new provider.AccessToken({
      accountId: found.accountId,
      client,
      gty: 'token_exchange',
      scope,
      expiresIn: Math.min(resourceServer.accessTokenTTL ?? left, left),
    } as never);
    token.resourceServer = resourceServer;
    if (certificate) token.setThumbprint('x5t', certificate);
    if (proof) {
      await checkDpopReplay(provider, ctx, proof, client.clientId);
      token.setThumbprint('jkt', proof.thumbprint);
    }
    delegations.set(token, found);
    ctx.oidc.entity('AccessToken', token);
    const accessToken = await token.save();
    await known.auditExchange(client.clientId, found, scope, metaFrom(ctx));
    ctx.body = buildTokenResponse(provider, {
      accessToken,
      expiresIn: token.expiration,
      issuedTokenType: ACCESS_TOKEN,
      scope,
      tokenType: token.tokenType,
    });
  }
}

/**
 * Only access tokens for access tokens; and the agent proves who it is by its key, not by a token.
 */
function rejectOtherTokenTypes(params: Parameters): void {
  const { subject_token: subject, subject_token_type: type, requested_token_type: requested = ACCESS_TOKEN } = params;
  if (!subject || !type) throw invalidRequest('missing required parameters subject_token, subject_token_type');
  if (type !== ACCESS_TOKEN && type !== JWT) throw invalidRequest('only access tokens can be exchanged');
  if (requested !== ACCESS_TOKEN && requested !== JWT) throw invalidRequest('only access tokens are given out');
  if (params.actor_token) throw invalidRequest('the actor is the client itself: leave out actor_token');
  if (params.audience) throw invalidTarget('name the audience as resource');
}

/** What is asked for, if it is allowed; all that is allowed, when nothing is asked for. */
function resolveScope(asked: string | undefined, allowed: string[], ofResource = ''): string {
  const known = ofResource.split(' ');
  const possible = allowed.filter((name) => known.includes(name));
  const wanted = asked?.split(' ').filter(Boolean) ?? possible;
  const tooMuch = wanted.find((name) => !possible.includes(name));
  if (tooMuch) throw invalidScope('the person, the agent or the resource does not allow it', tooMuch);
  if (wanted.length === 0) throw invalidScope('nothing is left that the agent may do', asked ?? '');
  return [...new Set(wanted)].join(' ');
}

/**
 * Whoever asked is told why, and so is the audit trail: the words are ours, and nothing of the
 * request is in them.
 */
const invalidRequest = (why: string) => new errors.InvalidRequest(why, undefined, why);
const invalidTarget = (why: string) => new errors.InvalidTarget(why, why);
const invalidScope = (why: string, scope: string) => new errors.InvalidScope(why, scope, why);
