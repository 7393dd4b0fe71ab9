/** OAuth access tokens for our own API, or for a tool that asks us about them (RFC 9068). They come from the protocol engine; here they are only recognised. */
import type { Accounts } from '../accounts/accounts.js';
import type { Artifacts } from '../artifacts/artifacts.js';
import type { Clients } from '../clients/clients.js';
import type { Jwts } from '../keys/jwts.js';
import type { Confirmation } from './possession.js';
import type { OAuthPrincipal } from './principal.js';

interface Needs {
  issuer: string;
  jwts: Jwts;
  accounts: Accounts;
  artifacts: Artifacts;
  clients: Pick<Clients, 'find'>;
}

interface AccessTokenClaims {
  jti: string;
  sub: string;
  client_id?: string;
  scope?: string;
  gid?: string;
  iat: number;
  exp: number;
  cnf?: Confirmation;
}

export type OAuthTokens = ReturnType<typeof createOAuthTokens>;

export function createOAuthTokens({ issuer, jwts, accounts, artifacts, clients }: Needs) {
  const ownApi = `${issuer}/api/v1`;

  return { verify };

  /**
   * The client, and the person if there is one, that a token for our API stands for now. Opaque tokens are never for it. What it is
   * bound to is told, not checked: that is another question with each request.
   *
   * @param audience another one that will do
   */
  async function verify(token: string, audience?: string): Promise<OAuthPrincipal | 'expired' | undefined> {
    const verified = await jwts.verify(token, { typ: 'at+jwt', audience: audience ? [ownApi, audience] : ownApi });
    if (verified.kind !== 'valid') return verified.kind === 'expired' ? 'expired' : undefined;
    const {
      jti,
      sub,
      client_id: clientId,
      scope,
      gid,
      iat,
      exp,
      cnf,
    } = verified.claims as unknown as AccessTokenClaims;
    if (!clientId || (await artifacts.isJwtRevoked(jti))) return undefined;
    if (!(await clients.find(clientId))) return undefined;
    const expiresAt = new Date(exp * 1000);
    const scopes = scope?.split(' ') ?? [];
    if (sub === clientId) return { kind: 'oauth', account: undefined, clientId, scopes, expiresAt, boundTo: cnf };
    const [account, grant] = [await accounts.find(sub), gid && (await artifacts.grants.find(gid))];
    if (!grant || grant.clientId !== clientId || grant.accountId !== sub || !accounts.isActive(account))
      return undefined;
    if (account.notBefore && iat * 1000 < account.notBefore.getTime()) return undefined;
    return { kind: 'oauth', account, clientId, scopes, expiresAt, boundTo: cnf };
  }
}
