/**
 * Verifies OAuth access tokens (RFC 9068) for our own API and for tools that validate them here.
 * The protocol engine issues them.
 */
import type { Account, Accounts } from '../accounts/accounts.js';
import { type ActiveAgents, type Agent, isAgentId } from '../agents/active-agents.js';
import type { Clients } from '../clients/clients.js';
import type { Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { StoredGrant } from '../oauth-storage/stores.js';
import type { AgentPrincipal, OAuthPrincipal } from './principal.js';
import type { Confirmation } from './proof-of-possession.js';

interface Deps {
  issuer: string;
  jwts: Pick<Jwts, 'verify'>;
  accounts: Pick<Accounts, 'find' | 'isActive'>;
  oauthStorage: Pick<OAuthStorage, 'grants' | 'isJwtRevoked'>;
  clients: Pick<Clients, 'find'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
}

export interface AccessTokenClaims {
  jti: string;
  sub: string;
  aud: string | string[];
  client_id: string;
  scope?: string;
  gid?: string;
  sid?: string;
  iat: number;
  exp: number;
  cnf?: Confirmation;
  /** Claims of agents, see `AgentClaims`. */
  company_id?: string;
  claimed?: boolean;
  key_id?: string;
  /** The agent that acts for the user, and the agents before it (RFC 8693, section 4.1). */
  act?: Acting;
  /** The agent that is allowed to act for the user (RFC 8693, section 4.4). */
  may_act?: { sub: string };
  authorization_details?: object[];
}

export interface Acting {
  sub: string;
  act?: Acting;
}

/** A verified token that is not revoked, with the objects it depends on. */
export interface ActiveToken {
  claims: AccessTokenClaims;
  agent?: Agent;
  /** The user and the grant, unless the client or agent acts for itself. */
  user?: { account: Account; grant: StoredGrant };
}

export type OAuthTokens = ReturnType<typeof createOAuthTokenVerifier>;

export function createOAuthTokenVerifier({ issuer, jwts, accounts, oauthStorage, clients, activeAgents }: Deps) {
  const ownApi = `${issuer}/api/v1`;

  return { verify, read };

  /**
   * Returns the principal of a token for our own API. Proof of possession is not verified here:
   * that happens with each request.
   *
   * @param audience accepted besides our own API
   */
  async function verify(
    token: string,
    audience?: string,
  ): Promise<OAuthPrincipal | AgentPrincipal | 'expired' | undefined> {
    const active = await read(token, audience ? [ownApi, audience] : [ownApi]);
    if (!active || active === 'expired') return active;
    const { claims, agent, user } = active;
    const use = {
      scopes: claims.scope?.split(' ') ?? [],
      expiresAt: earlier(new Date(claims.exp * 1000), agent?.expiresAt),
      boundTo: claims.cnf,
    };
    if (agent && !user) return { kind: 'agent', agent, by: 'token', ...use };
    return { kind: 'oauth', account: user?.account, clientId: claims.client_id, ...use };
  }

  /** Returns the active token with one of these audiences; by default, with any audience. */
  async function read(token: string, audience?: string[]): Promise<ActiveToken | 'expired' | undefined> {
    const verified = await jwts.verify(token, { typ: 'at+jwt', ...(audience && { audience }) });
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const claims = verified.claims as unknown as AccessTokenClaims;
    const { jti, sub, client_id: clientId } = claims;
    if (!clientId || (await oauthStorage.isJwtRevoked(jti))) return undefined;
    if (isAgentId(clientId)) return readOfAgent(claims);
    if (!(await clients.find(clientId))) return undefined;
    if (sub === clientId) return { claims };
    const user = await userOf(claims);
    return user?.grant.clientId === clientId ? { claims, user } : undefined;
  }

  /**
   * Reads a token of an agent. Rotating the agent's key revokes it. In a chain of delegation, every
   * agent must be active.
   */
  async function readOfAgent(claims: AccessTokenClaims): Promise<ActiveToken | undefined> {
    const { client_id: clientId, sub, key_id: keyId, act } = claims;
    const agent = await activeAgents.find(clientId);
    if (!agent || keyId !== agent.keyId) return undefined;
    if (sub === clientId) return { claims, agent };
    for (const id of actorsIn(act)) if (!(await activeAgents.find(id))) return undefined;
    const user = await userOf(claims);
    if (!user) return undefined;
    // The grant is the agent's own after an approval, or that of the app after a token exchange.
    const { clientId: grantee } = user.grant;
    const granted = grantee === clientId || (act?.sub === clientId && (await clients.find(grantee)));
    return granted ? { claims, agent, user } : undefined;
  }

  /** Returns the user if the grant is active and nothing was revoked since the token was issued. */
  async function userOf({ sub, gid, iat }: AccessTokenClaims): Promise<ActiveToken['user']> {
    const [account, grant] = [await accounts.find(sub), gid && (await oauthStorage.grants.find(gid))];
    if (!grant || grant.accountId !== sub || !accounts.isActive(account)) return undefined;
    if (account.notBefore && iat * 1000 < account.notBefore.getTime()) return undefined;
    return { account, grant };
  }
}

/** Returns the agents of a chain of delegation, the acting agent first. */
export function actorsIn(act: Acting | undefined): string[] {
  return act ? [act.sub, ...actorsIn(act.act)] : [];
}

const earlier = (one: Date, other = one) => (other < one ? other : one);
