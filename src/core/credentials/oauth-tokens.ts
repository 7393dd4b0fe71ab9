/** OAuth access tokens for our own API, or for a tool that asks us about them (RFC 9068). They come from the protocol engine; here they are only recognised. */
import type { Accounts } from '../accounts/accounts.js';
import { isAgentId, type LivingAgents } from '../agents/living.js';
import type { Artifacts } from '../artifacts/artifacts.js';
import type { Clients } from '../clients/clients.js';
import type { Jwts } from '../keys/jwts.js';
import type { Confirmation } from './possession.js';
import type { AgentPrincipal, OAuthPrincipal } from './principal.js';

interface Needs {
  issuer: string;
  jwts: Jwts;
  accounts: Accounts;
  artifacts: Artifacts;
  clients: Pick<Clients, 'find'>;
  livingAgents: Pick<LivingAgents, 'find'>;
}

interface AccessTokenClaims {
  jti: string;
  sub: string;
  client_id?: string;
  scope?: string;
  gid?: string;
  /** Of an agent: the key that the token came from. */
  key_id?: string;
  iat: number;
  exp: number;
  cnf?: Confirmation;
}

export type OAuthTokens = ReturnType<typeof createOAuthTokens>;

export function createOAuthTokens({ issuer, jwts, accounts, artifacts, clients, livingAgents }: Needs) {
  const ownApi = `${issuer}/api/v1`;

  return { verify };

  /**
   * The client or agent, and the person if there is one, that a token for our API stands for now. Opaque tokens are never for it. What
   * it is bound to is told, not checked: that is another question with each request.
   *
   * @param audience another one that will do
   */
  async function verify(
    token: string,
    audience?: string,
  ): Promise<OAuthPrincipal | AgentPrincipal | 'expired' | undefined> {
    const verified = await jwts.verify(token, { typ: 'at+jwt', audience: audience ? [ownApi, audience] : ownApi });
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const claims = verified.claims as unknown as AccessTokenClaims;
    const { jti, sub, client_id: clientId, scope, exp, cnf } = claims;
    if (!clientId || (await artifacts.isJwtRevoked(jti))) return undefined;
    const use = { scopes: scope?.split(' ') ?? [], expiresAt: new Date(exp * 1000), boundTo: cnf };
    if (isAgentId(clientId) && sub === clientId) return verifyAgent(claims, use);
    if (!(await clients.find(clientId))) return undefined;
    if (sub === clientId) return { kind: 'oauth', account: undefined, clientId, ...use };
    const account = await accountOf(claims);
    return account && { kind: 'oauth', account, clientId, ...use };
  }

  /** What came of a key that was replaced has ended with it. */
  async function verifyAgent(
    claims: AccessTokenClaims,
    { expiresAt, ...use }: Pick<AgentPrincipal, 'scopes' | 'expiresAt' | 'boundTo'>,
  ): Promise<AgentPrincipal | 'expired' | undefined> {
    const agent = await livingAgents.find(claims.client_id ?? '');
    if (!agent || claims.key_id !== agent.keyId) return undefined;
    const { expiresAt: ends = expiresAt } = agent;
    return { kind: 'agent', agent, by: 'token', ...use, expiresAt: ends < expiresAt ? ends : expiresAt };
  }

  /** The person, if the grant that the token came of lives, and nothing was revoked since. */
  async function accountOf({ sub, client_id: clientId, gid, iat }: AccessTokenClaims) {
    const [account, grant] = [await accounts.find(sub), gid && (await artifacts.grants.find(gid))];
    if (!grant || grant.clientId !== clientId || grant.accountId !== sub || !accounts.isActive(account))
      return undefined;
    if (account.notBefore && iat * 1000 < account.notBefore.getTime()) return undefined;
    return account;
  }
}
