/**
 * Each authorization gets a grant of its own, made of what the person has allowed this client: so a
 * theft that is noticed in one browser tab ends that tab's tokens and no others. It is stored when
 * its code is (see adapter).
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { randomToken } from '../../../base/crypto.js';
import type { Consents, GrantedAccess } from '../../../core/consents/consents.js';

type Grant = InstanceType<KoaContextWithOIDC['oidc']['provider']['Grant']>;

export function createGrantLoader({ consents }: { consents: Consents }) {
  /**
   * What was asked for, as far as it is allowed: by the person, or, for a first-party client, by
   * the administrator.
   */
  return async function loadGrant(ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
    const { client, account, provider } = ctx.oidc;
    if (!client || !account) return undefined;
    const wanted = requested(ctx);
    const allowed = client.first_party ? wanted : await consents.find(account.accountId, client.clientId);
    const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
    grant.jti = randomToken();
    const scopes = both(wanted.scopes, allowed.scopes);
    if (scopes.length > 0) grant.addOIDCScope(scopes.join(' '));
    const claims = both(wanted.claims, allowed.claims);
    if (claims.length > 0) grant.addOIDCClaims(claims);
    for (const [identifier, names] of Object.entries(wanted.resources)) {
      const granted = both(names, allowed.resources[identifier] ?? []);
      if (granted.length > 0) grant.addResourceScope(identifier, granted.join(' '));
    }
    return grant;
  };
}

/** What this authorization request asks for. */
function requested(ctx: KoaContextWithOIDC): GrantedAccess {
  const { requestParamOIDCScopes, requestParamScopes, requestParamClaims, resourceServers } = ctx.oidc;
  const resources = Object.entries(resourceServers ?? {}).map(([identifier, server]) => {
    const known = new Set(String(server.scope ?? '').split(' '));
    return [identifier, [...requestParamScopes].filter((scope) => known.has(scope))] as const;
  });
  return {
    scopes: [...requestParamOIDCScopes],
    claims: [...requestParamClaims],
    resources: Object.fromEntries(resources),
  };
}

const both = (a: string[], b: string[]) => a.filter((item) => b.includes(item));
