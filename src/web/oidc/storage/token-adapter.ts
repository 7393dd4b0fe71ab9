/**
 * The adapters for access tokens and refresh tokens.
 *
 * ## Rotation of a refresh token
 *
 * oidc-provider consumes a refresh token before it has validated the rest of the request. A request
 * that fails afterwards must not cost the client its token, so the rotation is deferred to the last
 * step that can fail. One `grant_type=refresh_token` request takes these steps, in this order:
 *
 * 1. `find` returns the token. A retryable token (consumed within the reuse interval, successor
 *   unused) is returned as unused at the token endpoint, and as consumed at every other endpoint.
 * 2. oidc-provider validates `scope` and proof of possession.
 * 3. `consume` does nothing.
 * 4. `upsert` of the successor only remembers the id of the old token and the successor, as the
 *   pending rotation of this request.
 * 5. oidc-provider validates `resource`. An error up to here changes nothing.
 * 6. oidc-provider issues the access token. An opaque token is stored by its `upsert`; a JWT is
 *   not stored, but the `formats.customizers.jwt` hook in `provider/configuration.ts` sees it.
 * 7. Either of the two calls `completeRotation`. It consumes the token and stores the successor
 *   in one transaction, together with the id of the access token that a retry must revoke.
 *
 * Reuse is normally detected from step 1: oidc-provider rejects a consumed token and revokes its
 * grant. If only the rotation detects it, in a race, the token family is revoked, the opaque access
 * token is deleted again, and the client gets `invalid_grant`.
 */
import Provider, { type Adapter, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { type Clock, epochSeconds } from '../../../base/clock.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { NewRefreshToken } from '../../../core/oauth-storage/stores.js';
import { metaFrom } from '../request-meta.js';
import type { EphemeralAdapters } from './ephemeral-adapter.js';
import { couldBeToken } from './opaque-token-format.js';

interface Deps {
  oauthStorage: OAuthStorage;
  ephemeral: EphemeralAdapters;
  clock: Clock;
}

interface PendingRotation {
  rotatedId: string;
  successor: NewRefreshToken;
}

/** The members of an access token that a rotation needs. */
export interface IssuedAccessToken {
  jti: string;
  jkt?: string;
  'x5t#S256'?: string;
}

export function createTokenAdapters({ oauthStorage, ephemeral, clock }: Deps) {
  const { store, grants, refreshTokens, idOf } = oauthStorage;
  const { storedId, expiryOf } = ephemeral;
  const pendingRotations = new WeakMap<KoaContextWithOIDC, PendingRotation>();

  return { accessTokenAdapter, clientCredentialsAdapter, refreshTokenAdapter, completeRotation };

  function accessTokenAdapter(): Adapter {
    const adapter = ephemeral.adapterFor('AccessToken');
    return {
      ...adapter,
      destroy: revokeOnRequest('AccessToken'),
      async upsert(id, payload, expiresIn) {
        // Stored before the rotation (step 7), so that a concurrent retry can revoke it.
        await adapter.upsert(id, payload, expiresIn);
        try {
          await completeRotation(Provider.ctx, { jti: id, jkt: payload.jkt, 'x5t#S256': payload['x5t#S256'] });
        } catch (error) {
          await adapter.destroy(id);
          throw error;
        }
      },
    };
  }

  function clientCredentialsAdapter(): Adapter {
    return { ...ephemeral.adapterFor('ClientCredentials'), destroy: revokeOnRequest('ClientCredentials') };
  }

  /** Returns a `destroy` that audits the revocation when a client requests it (RFC 7009). */
  function revokeOnRequest(kind: 'AccessToken' | 'ClientCredentials'): Adapter['destroy'] {
    return async function revokeToken(id) {
      const { ctx } = Provider;
      const token = ctx?.oidc.entities[kind];
      if (ctx?.oidc.route !== 'revocation' || !token?.clientId) return store.remove(kind, storedId(id));
      const accountId = 'accountId' in token ? token.accountId : undefined;
      await oauthStorage.revokeAccessToken({ kind, jti: id, clientId: token.clientId, accountId }, metaFrom(ctx));
    };
  }

  function refreshTokenAdapter(): Adapter {
    return {
      ...ephemeral.adapterFor('RefreshToken'),
      async upsert(id, payload, expiresIn) {
        const { ctx } = Provider;
        const { jti: _secret, ...rest } = payload;
        const { RotatedRefreshToken: rotated, AccessToken: accessToken } = ctx?.oidc.entities ?? {};
        const token: NewRefreshToken = {
          id: storedId(id),
          grantId: String(payload.grantId),
          payload: rest,
          expiresAt: expiryOf('RefreshToken', expiresIn),
        };
        if (ctx && rotated) {
          pendingRotations.set(ctx, { rotatedId: storedId(rotated.jti), successor: token }); // step 4
          return;
        }
        const saved = await refreshTokens.save({ ...token, accessTokenId: accessToken && idOf(accessToken.jti) });
        if (!saved) throw new errors.InvalidGrant('the grant was revoked');
      },
      async find(id) {
        const found = couldBeToken('RefreshToken', id) ? await refreshTokens.find(storedId(id)) : undefined;
        if (!found) return undefined;
        const isUsable =
          found.state === 'unused' || (found.state === 'retryable' && Provider.ctx?.oidc.route === 'token');
        return { ...found.payload, jti: id, ...(!isUsable && { consumed: epochSeconds(clock.now()) }) };
      },
      async consume() {}, // step 3
      async destroy(id) {
        await refreshTokens.remove(storedId(id));
      },
    };
  }

  /**
   * Completes the pending rotation of a request, if it has one. Throws `invalid_grant` if the grant
   * was revoked, or if the refresh token was reused. In that case it first revokes the token
   * family.
   */
  async function completeRotation(ctx: KoaContextWithOIDC | undefined, accessToken: IssuedAccessToken): Promise<void> {
    const pending = ctx && pendingRotations.get(ctx);
    if (!pending) return;
    pendingRotations.delete(ctx);
    const { rotatedId, successor } = pending;
    const thumbprint = accessToken.jkt ?? accessToken['x5t#S256'];
    const outcome = await refreshTokens.rotate(
      rotatedId,
      { ...successor, accessTokenId: idOf(accessToken.jti) },
      thumbprint,
    );
    if (outcome === 'rotated') return;
    if (outcome === 'reused') await grants.revoke(successor.grantId, 'refresh_token.replayed', metaFrom(ctx));
    throw new errors.InvalidGrant(
      outcome === 'reused' ? 'the refresh token was already used' : 'the grant was revoked',
    );
  }
}
