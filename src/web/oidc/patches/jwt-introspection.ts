/**
 * Introspection and revocation of JWT access tokens (RFC 9068), which oidc-provider refuses. Such a
 * token is not stored; it is verified, and its grant and the marks of revoked tokens tell whether
 * it is alive. Whatever is no token is simply not active.
 */
import Provider, { type AccessToken } from 'oidc-provider';
import type { OAuthTokens } from '../../../core/credentials/oauth-tokens.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import { type ProviderInternals, replaceContext } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';

interface Deps {
  oauthTokens: Pick<OAuthTokens, 'read'>;
  oauthStorage: OAuthStorage;
}

/**
 * In front of a token that has the form of a JWT, so that the provider takes it for an opaque one
 * and looks it up.
 */
const MARK = 'jwt~';
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const ROUTES = new Set(['introspection', 'revocation']);

export function patchJwtIntrospection(internals: ProviderInternals, { oauthTokens, oauthStorage }: Deps): void {
  const { AccessToken, OIDCContext } = internals;
  const findStored = AccessToken.find.bind(AccessToken);

  AccessToken.find = async function find(value, options) {
    const marked = typeof value === 'string' && value.startsWith(MARK) && ROUTES.has(Provider.ctx?.oidc.route ?? '');
    return marked ? resolve(value.slice(MARK.length)) : findStored(value, options);
  };

  class MarkingContext extends OIDCContext {
    override entity(name: string, value: unknown): void {
      super.entity(name, value);
      // The client is known before the token's form is looked at.
      const token = this.params?.token;
      if (name !== 'Client' || !ROUTES.has(this.route) || typeof token !== 'string' || !JWT.test(token)) return;
      this.params!.token = MARK + token;
    }
  }
  replaceContext(internals, MarkingContext);

  async function resolve(token: string): Promise<AccessToken | undefined> {
    const living = await oauthTokens.read(token); // of others, and of those that live no more, nothing is known
    if (!living || living === 'expired') return undefined;
    const payload = living.claims;
    const { act, may_act: mayAct, key_id: keyId, company_id: companyId, claimed } = payload;
    const found = new AccessToken({
      jti: payload.jti,
      kind: 'AccessToken',
      accountId: payload.sub === payload.client_id ? undefined : payload.sub,
      clientId: payload.client_id,
      // The provider would ask whether the grant is the client's own: an agent's may be that of the
      // app that asked the person.
      grantId: living.user?.grant.clientId === payload.client_id ? payload.gid : undefined,
      extra: { company_id: companyId, claimed, key_id: keyId, act, may_act: mayAct },
      aud: payload.aud,
      scope: payload.scope,
      sid: payload.sid,
      iat: payload.iat,
      exp: payload.exp,
      rar: payload.authorization_details,
      jkt: payload.cnf?.jkt,
      'x5t#S256': payload.cnf?.['x5t#S256'],
    });
    found.destroy = () =>
      oauthStorage.revokeAccessToken(
        {
          kind: 'AccessToken',
          jti: payload.jti,
          clientId: payload.client_id,
          accountId: found.accountId,
          jwtUntil: new Date(payload.exp * 1000),
        },
        metaFrom(Provider.ctx),
      );
    return found;
  }
}
