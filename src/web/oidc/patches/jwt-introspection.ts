/**
 * Introspection and revocation of JWT access tokens (RFC 9068), which oidc-provider rejects. Such a
 * token is not stored: it is active if its signature is valid, its grant exists and its id is not
 * marked as revoked.
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

/** Prepended to a JWT, so that the provider looks it up like an opaque token. */
const JWT_MARKER = 'jwt~';
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const ROUTES = new Set(['introspection', 'revocation']);

/** Patches `AccessToken.find` and the request context of a provider. */
export function patchJwtIntrospection(internals: ProviderInternals, { oauthTokens, oauthStorage }: Deps): void {
  const { AccessToken, OIDCContext } = internals;
  const findStored = AccessToken.find.bind(AccessToken);

  AccessToken.find = async function find(value, options) {
    const isMarked =
      typeof value === 'string' && value.startsWith(JWT_MARKER) && ROUTES.has(Provider.ctx?.oidc.route ?? '');
    return isMarked ? findJwt(value.slice(JWT_MARKER.length)) : findStored(value, options);
  };

  class MarkingContext extends OIDCContext {
    override entity(name: string, value: unknown): void {
      super.entity(name, value);
      // The client is known before the provider reads the token, so this is the time to mark it.
      const token = this.params?.token;
      if (name !== 'Client' || !ROUTES.has(this.route) || typeof token !== 'string' || !JWT.test(token)) return;
      this.params!.token = JWT_MARKER + token;
    }
  }
  replaceContext(internals, MarkingContext);

  /** Returns the JWT as an access token of the provider, if it is active. */
  async function findJwt(token: string): Promise<AccessToken | undefined> {
    const verified = await oauthTokens.read(token);
    if (!verified || verified === 'expired') return undefined;
    const payload = verified.claims;
    const { act, may_act: mayAct, key_id: keyId, company_id: companyId, claimed } = payload;
    const accessToken = new AccessToken({
      jti: payload.jti,
      kind: 'AccessToken',
      accountId: payload.sub === payload.client_id ? undefined : payload.sub,
      clientId: payload.client_id,
      // The provider requires that the grant belongs to the client. An agent can act under the
      // grant of the app that the user signed in to.
      grantId: verified.user?.grant.clientId === payload.client_id ? payload.gid : undefined,
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
    accessToken.destroy = () =>
      oauthStorage.revokeAccessToken(
        {
          kind: 'AccessToken',
          jti: payload.jti,
          clientId: payload.client_id,
          accountId: accessToken.accountId,
          jwtUntil: new Date(payload.exp * 1000),
        },
        metaFrom(Provider.ctx),
      );
    return accessToken;
  }
}
