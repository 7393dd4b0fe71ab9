/**
 * Creates a new grant for each authorization from the user's consent, so that the reuse of a token
 * revokes one token family and not all tokens of the client. The grant is stored together with its
 * code: see storage/adapter.ts.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { randomToken } from '../../../base/crypto.js';
import type { Consents, GrantedAccess } from '../../../core/consents/consents.js';

type Grant = InstanceType<KoaContextWithOIDC['oidc']['provider']['Grant']>;

export function createGrantLoader({ consents }: { consents: Consents }) {
  /**
   * Grants the requested access as far as the user has consented. First-party clients need no
   * consent.
   */
  return async function loadGrant(ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
    const { client, account, provider } = ctx.oidc;
    if (!client || !account) return undefined;
    const requested = requestedAccess(ctx);
    const allowed = client.first_party ? requested : await consents.find(account.accountId, client.clientId);
    const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
    grant.jti = randomToken();
    const scopes = intersect(requested.scopes, allowed.scopes);
    if (scopes.length > 0) grant.addOIDCScope(scopes.join(' '));
    const claims = intersect(requested.claims, allowed.claims);
    if (claims.length > 0) grant.addOIDCClaims(claims);
    for (const [identifier, names] of Object.entries(requested.resources)) {
      const granted = intersect(names, allowed.resources[identifier] ?? []);
      if (granted.length > 0) grant.addResourceScope(identifier, granted.join(' '));
    }
    return grant;
  };
}

/** Returns the access that the authorization request asks for. */
function requestedAccess(ctx: KoaContextWithOIDC): GrantedAccess {
  const { requestParamOIDCScopes, requestParamScopes, requestParamClaims, resourceServers } = ctx.oidc;
  const resources = Object.entries(resourceServers ?? {}).map(([identifier, server]) => {
    const resourceScopes = new Set(String(server.scope ?? '').split(' '));
    return [identifier, [...requestParamScopes].filter((scope) => resourceScopes.has(scope))] as const;
  });
  return {
    scopes: [...requestParamOIDCScopes],
    claims: [...requestParamClaims],
    resources: Object.fromEntries(resources),
  };
}

const intersect = (a: string[], b: string[]) => a.filter((item) => b.includes(item));
