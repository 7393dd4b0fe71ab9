/**
 * OAuth access tokens for our own API, or for a tool that asks us about them (RFC 9068). They come
 * from the protocol engine; here they are only recognised.
 */
import type { Account, Accounts } from '../accounts/accounts.js';
import { type ActiveAgents, type Agent, isAgentId } from '../agents/active-agents.js';
import type { Clients } from '../clients/clients.js';
import type { Jwts } from '../keys/jwts.js';
import type { StoredGrant } from '../oauth-storage/grants.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { AgentPrincipal, OAuthPrincipal } from './principal.js';
import type { Confirmation } from './proof-of-possession.js';

interface Deps {
  issuer: string;
  jwts: Jwts;
  accounts: Accounts;
  oauthStorage: OAuthStorage;
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
  /** Of an agent: see AgentClaims. */
  company_id?: string;
  claimed?: boolean;
  key_id?: string;
  /** The agent that acts for the person, and whose place it took (RFC 8693, 4.1). */
  act?: Acting;
  /** The agent that may act for the person (RFC 8693, 4.4). */
  may_act?: { sub: string };
  authorization_details?: object[];
}

export interface Acting {
  sub: string;
  act?: Acting;
}

/** A token that lives, and all that it lives by. */
export interface ActiveToken {
  claims: AccessTokenClaims;
  agent?: Agent;
  /** The person, and the grant by which the token stands for them. */
  person?: { account: Account; grant: StoredGrant };
}

export type OAuthTokens = ReturnType<typeof createOAuthTokens>;

export function createOAuthTokens({ issuer, jwts, accounts, oauthStorage, clients, activeAgents }: Deps) {
  const ownApi = `${issuer}/api/v1`;

  return { verify, read };

  /**
   * The client or agent, and the person if there is one, that a token for our API stands for now.
   * Opaque tokens are never for it. What it is bound to is told, not checked: that is another
   * question with each request.
   *
   * @param audience another one that will do
   */
  async function verify(
    token: string,
    audience?: string,
  ): Promise<OAuthPrincipal | AgentPrincipal | 'expired' | undefined> {
    const living = await read(token, audience ? [ownApi, audience] : [ownApi]);
    if (!living || living === 'expired') return living;
    const { claims, agent, person } = living;
    const use = {
      scopes: claims.scope?.split(' ') ?? [],
      expiresAt: earlier(new Date(claims.exp * 1000), agent?.expiresAt),
      boundTo: claims.cnf,
    };
    if (agent && !person) return { kind: 'agent', agent, by: 'token', ...use };
    return { kind: 'oauth', account: person?.account, clientId: claims.client_id, ...use };
  }

  /**
   * The same for a token that is meant for any of these audiences; for anybody, where none is
   * named.
   */
  async function read(token: string, audience?: string[]): Promise<ActiveToken | 'expired' | undefined> {
    const verified = await jwts.verify(token, { typ: 'at+jwt', ...(audience && { audience }) });
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const claims = verified.claims as unknown as AccessTokenClaims;
    const { jti, sub, client_id: clientId } = claims;
    if (!clientId || (await oauthStorage.isJwtRevoked(jti))) return undefined;
    if (isAgentId(clientId)) return readOfAgent(claims);
    if (!(await clients.find(clientId))) return undefined;
    if (sub === clientId) return { claims };
    const person = await personOf(claims);
    return person?.grant.clientId === clientId ? { claims, person } : undefined;
  }

  /**
   * What came of a key that was replaced has ended with it. Where agents act one for another, all
   * of them must live.
   */
  async function readOfAgent(claims: AccessTokenClaims): Promise<ActiveToken | undefined> {
    const { client_id: clientId, sub, key_id: keyId, act } = claims;
    const agent = await activeAgents.find(clientId);
    if (!agent || keyId !== agent.keyId) return undefined;
    if (sub === clientId) return { claims, agent };
    for (const id of actorsIn(act)) if (!(await activeAgents.find(id))) return undefined;
    const person = await personOf(claims);
    if (!person) return undefined;
    // It rests on the agent's own grant, where the person answered the agent itself; else on that
    // of the app that asked them for it.
    const { clientId: grantee } = person.grant;
    const granted = grantee === clientId || (act?.sub === clientId && (await clients.find(grantee)));
    return granted ? { claims, agent, person } : undefined;
  }

  /** The person, if the grant that the token came of lives, and nothing was revoked since. */
  async function personOf({ sub, gid, iat }: AccessTokenClaims): Promise<ActiveToken['person']> {
    const [account, grant] = [await accounts.find(sub), gid && (await oauthStorage.grants.find(gid))];
    if (!grant || grant.accountId !== sub || !accounts.isActive(account)) return undefined;
    if (account.notBefore && iat * 1000 < account.notBefore.getTime()) return undefined;
    return { account, grant };
  }
}

/** All agents of a chain, the one that acts now first. */
export function actorsIn(act: Acting | undefined): string[] {
  return act ? [act.sub, ...actorsIn(act.act)] : [];
}

const earlier = (one: Date, other = one) => (other < one ? other : one);
