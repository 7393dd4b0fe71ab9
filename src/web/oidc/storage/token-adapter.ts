/**
 * Access and refresh tokens, as oidc-provider stores them. What is decided here needs the request
 * that is being answered: which tokens belong to one answer, and whether a refresh token that comes
 * twice is a retry or a theft.
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
  plain: EphemeralAdapters;
  clock: Clock;
}

/**
 * A rotation that is decided but not done: it happens with the answer's access token, once nothing
 * can be refused any more.
 */
interface PendingRotation {
  spentId: string;
  successor: NewRefreshToken;
}

export function createTokenAdapters({ oauthStorage, plain, clock }: Deps) {
  const { store, grants, refreshTokens, idOf } = oauthStorage;
  const { storedId, expiryOf } = plain;
  const rotations = new WeakMap<KoaContextWithOIDC, PendingRotation>();

  return { accessTokens, clientTokens, refreshTokens: rotatingTokens, completeRotation };

  function accessTokens(): Adapter {
    const adapter = plain.adapterFor('AccessToken');
    return {
      ...adapter,
      destroy: revoke('AccessToken'),
      async upsert(id, payload, expiresIn) {
        // Stored before the refresh token of the same answer is: whatever replaces that answer
        // finds this token to remove.
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

  /** Access tokens of clients that act for themselves. */
  function clientTokens(): Adapter {
    return { ...plain.adapterFor('ClientCredentials'), destroy: revoke('ClientCredentials') };
  }

  /** The provider destroys an access token when its client revokes it (RFC 7009). */
  function revoke(kind: 'AccessToken' | 'ClientCredentials'): Adapter['destroy'] {
    return async function revokeToken(id) {
      const { ctx } = Provider;
      const token = ctx?.oidc.entities[kind];
      if (ctx?.oidc.route !== 'revocation' || !token?.clientId) return store.remove(kind, storedId(id));
      const accountId = 'accountId' in token ? token.accountId : undefined;
      await oauthStorage.revokeAccessToken({ kind, jti: id, clientId: token.clientId, accountId }, metaFrom(ctx));
    };
  }

  function rotatingTokens(): Adapter {
    return {
      ...plain.adapterFor('RefreshToken'),
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
          rotations.set(ctx, { spentId: storedId(rotated.jti), successor: token });
          return;
        }
        const saved = await refreshTokens.save({ ...token, accessTokenId: accessToken && idOf(accessToken.jti) });
        if (!saved) throw new errors.InvalidGrant('the grant has ended');
      },
      async find(id) {
        const found = couldBeToken('RefreshToken', id) ? await refreshTokens.find(storedId(id)) : undefined;
        if (!found) return undefined;
        // Only who redeems it may learn that it can be retried; for everybody else a spent token is
        // spent.
        const redeemable =
          found.state === 'fresh' || (found.state === 'retryable' && Provider.ctx?.oidc.route === 'token');
        return { ...found.payload, jti: id, ...(!redeemable && { consumed: epochSeconds(clock.now()) }) };
      },
      async consume() {
        // Deferred to completeRotation: a request that is refused after this point must not have
        // spent the token.
      },
      async destroy(id) {
        await refreshTokens.remove(storedId(id));
      },
    };
  }

  /**
   * Does the rotation that this request decided on, together with its access token. Refuses with
   * `invalid_grant`, and ends the family, when the refresh token turns out to have been used by
   * somebody else.
   */
  async function completeRotation(
    ctx: KoaContextWithOIDC | undefined,
    accessToken: { jti: string; jkt?: string; 'x5t#S256'?: string },
  ): Promise<void> {
    const pending = ctx && rotations.get(ctx);
    if (!pending) return;
    rotations.delete(ctx);
    const { spentId, successor } = pending;
    const boundTo = accessToken.jkt ?? accessToken['x5t#S256'];
    const outcome = await refreshTokens.rotate(
      spentId,
      { ...successor, accessTokenId: idOf(accessToken.jti) },
      boundTo,
    );
    if (outcome === 'rotated') return;
    if (outcome === 'spent') await grants.revoke(successor.grantId, 'refresh_token.replayed', metaFrom(ctx));
    throw new errors.InvalidGrant(outcome === 'spent' ? 'refresh token already used' : 'the grant has ended');
  }
}
