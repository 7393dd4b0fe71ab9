/**
 * Introspection and revocation of JWT access tokens (RFC 9068), which oidc-provider refuses. Such a token is not stored; it is
 * verified, and its grant and the marks of revoked tokens tell whether it is alive. Whatever is no token is simply not active.
 */
import Provider, { type AccessToken, type KoaContextWithOIDC } from 'oidc-provider';
import type { Artifacts } from '../../core/artifacts/artifacts.js';
import type { Jwts } from '../../core/keys/jwts.js';
import { callerOf } from './caller.js';

interface Needs {
  jwts: Jwts;
  artifacts: Artifacts;
}

interface PatchedProvider {
  AccessToken: {
    new (payload: object): AccessToken & { destroy(): Promise<void> };
    find(value: string, options?: object): Promise<AccessToken | undefined>;
  };
  OIDCContext: new (ctx: KoaContextWithOIDC) => KoaContextWithOIDC['oidc'];
}

/** In front of a token that has the form of a JWT, so that the provider takes it for an opaque one and looks it up. */
const MARK = 'jwt~';
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const ROUTES = new Set(['introspection', 'revocation']);

export function resolveStructuredTokens(provider: unknown, { jwts, artifacts }: Needs): void {
  const patched = provider as PatchedProvider;
  const { AccessToken, OIDCContext } = patched;
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
      (this.params as Record<string, unknown>).token = MARK + token;
    }
  }
  Object.defineProperty(patched, 'OIDCContext', { value: MarkingContext, configurable: true });

  async function resolve(token: string): Promise<AccessToken | undefined> {
    const payload = await verify(token);
    if (!payload || (await artifacts.isJwtRevoked(payload.jti))) return undefined;
    const found = new AccessToken({
      jti: payload.jti,
      kind: 'AccessToken',
      accountId: payload.sub === payload.client_id ? undefined : payload.sub,
      clientId: payload.client_id,
      grantId: payload.gid,
      aud: payload.aud,
      scope: payload.scope,
      sid: payload.sid,
      iat: payload.iat,
      exp: payload.exp,
      rar: payload.authorization_details,
      extra: payload.act && { act: payload.act },
      jkt: payload.cnf?.jkt,
      'x5t#S256': payload.cnf?.['x5t#S256'],
    });
    found.destroy = () =>
      artifacts.revokeAccessToken(
        {
          kind: 'AccessToken',
          jti: payload.jti,
          clientId: payload.client_id,
          accountId: found.accountId,
          jwtUntil: new Date(payload.exp * 1000),
        },
        callerOf(Provider.ctx),
      );
    return found;
  }

  async function verify(token: string): Promise<AccessTokenPayload | undefined> {
    const verified = await jwts.verify(token, { typ: 'at+jwt' });
    if (verified.kind !== 'valid') return undefined; // not one of ours, or no longer
    const { client_id: clientId, aud } = verified.claims;
    return clientId && aud ? (verified.claims as unknown as AccessTokenPayload) : undefined;
  }
}

interface AccessTokenPayload {
  jti: string;
  sub: string;
  client_id: string;
  aud: string;
  iat: number;
  exp: number;
  scope?: string;
  gid?: string;
  sid?: string;
  authorization_details?: object[];
  /** Who acts for the person (RFC 8693, 4.1). */
  act?: object;
  cnf?: { jkt?: string; 'x5t#S256'?: string };
}
