/**
 * Refresh tokens: single use, rotated, with reuse detection (RFC 9700, 4.14.2).
 *
 * A response can get lost, so a client can retry within the reuse interval, with the same key.
 * The retry creates another successor, which replaces the unused one. A family never has two usable
 * tokens, because a stolen token could then be used alongside the legitimate one unnoticed.
 */
import { addSeconds, type Clock } from '../../base/clock.js';
import type { Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { PrismaEphemeralStore } from './prisma/ephemeral-store.js';
import type {
  EphemeralStore,
  GrantStore,
  NewRefreshToken,
  Payload,
  RefreshTokenStore,
  StoredRefreshToken,
} from './stores.js';

export interface FoundRefreshToken {
  grantId: string;
  payload: Payload;
  /**
   * `retryable`: consumed within the reuse interval, and no use of its successor is known.
   * `reused`: consumed and not retryable, so presenting it is reuse.
   */
  state: 'unused' | 'retryable' | 'reused';
}

/** `reused`: reuse was detected. `revoked`: the token or its grant was revoked. */
export type RotationOutcome = 'rotated' | 'reused' | 'revoked';

interface Deps {
  transact: Transact;
  clock: Clock;
  store: RefreshTokenStore;
  grants: GrantStore;
  /** Holds the opaque access tokens. */
  ephemeral: EphemeralStore;
  /** Holds the revoked JWT access tokens. */
  revokedJwts: PrismaEphemeralStore;
  /** The time in which a request with a consumed token can be a retry. 0: never. */
  reuseIntervalSeconds: number;
}

/** The kind under which the ids of revoked JWT access tokens are stored. */
export const REVOKED = 'RevokedAccessToken';

export function createRefreshTokens(deps: Deps) {
  const { transact, clock, store, grants, ephemeral, revokedJwts, reuseIntervalSeconds } = deps;

  return { save, find, hasExpired: store.hasExpired, rotate, remove: store.remove };

  /**
   * Stores the first token of a family. Returns false if its grant was revoked.
   *
   * @param tx the open transaction that also creates the grant, if any
   */
  async function save(token: NewRefreshToken, tx?: Queryable): Promise<boolean> {
    if (!tx) return store.save(token);
    await store.insert(token, tx);
    return true;
  }

  /** Returns a token, unless it has expired or a retry has just withdrawn it. */
  async function find(id: string): Promise<FoundRefreshToken | undefined> {
    const token = await store.find(id);
    if (!token || token.expiresAt <= clock.now() || isJustWithdrawn(token)) return undefined;
    return { grantId: token.grantId, payload: token.payload, state: await stateOf(token) };
  }

  /**
   * Consumes a token and stores its successor. In a retry, the new successor replaces the unused
   * one. After concurrent calls, only one successor is usable.
   *
   * @param keyThumbprint the thumbprint of the request's DPoP key or certificate, if any
   */
  async function rotate(
    id: string,
    successor: NewRefreshToken,
    keyThumbprint: string | undefined,
  ): Promise<RotationOutcome> {
    const redeemedWith = keyThumbprint ?? null;
    if (await store.rotateUnused(id, successor, redeemedWith)) return 'rotated';
    return transact(async ({ tx }) => {
      // Lock order: the grant before its refresh tokens.
      const token = (await grants.lock(successor.grantId, tx)) ? await store.find(id, tx) : undefined;
      if (!token || isJustWithdrawn(token)) return 'revoked';
      if (token.consumedAt) {
        const isRetry = isWithinReuseInterval(token) && token.redeemedWith === redeemedWith;
        if (!isRetry || !(await withdrawSuccessor(token, tx))) return 'reused';
      }
      const consumption = { consumedAt: token.consumedAt ?? clock.now(), successorId: successor.id, redeemedWith };
      if (!(await store.markConsumed(id, consumption, tx))) return 'revoked';
      await store.insert(successor, tx);
      return 'rotated';
    });
  }

  /**
   * Withdraws the tokens of the lost response. Returns false if its refresh token was used. The
   * withdrawn refresh token is stored as consumed without a successor. If the response was stolen
   * and not lost, a later use of the token is detected as reuse.
   */
  async function withdrawSuccessor({ successorId }: StoredRefreshToken, tx: Queryable): Promise<boolean> {
    const successor = successorId ? await store.find(successorId, tx) : undefined;
    if (!successor || successor.consumedAt) return false;
    const withdrawal = { consumedAt: clock.now(), successorId: null };
    if (!(await store.markConsumed(successor.id, withdrawal, tx))) return false;
    if (successor.accessTokenId) await revokeAccessToken(successor.accessTokenId, successor.grantId, tx);
    return true;
  }

  /**
   * Revokes an access token, whether it is opaque or a JWT: deletes the stored token, and marks the
   * id as revoked. The mark expires with the grant, without which a JWT is invalid anyway.
   */
  async function revokeAccessToken(id: string, grantId: string, tx: Queryable): Promise<void> {
    await ephemeral.remove('AccessToken', id, tx);
    const grant = await grants.find(grantId, tx);
    if (grant) await revokedJwts.put(REVOKED, id, {}, { expiresAt: grant.expiresAt }, tx);
  }

  async function stateOf(token: StoredRefreshToken): Promise<FoundRefreshToken['state']> {
    if (!token.consumedAt) return 'unused';
    if (!isWithinReuseInterval(token) || !token.successorId) return 'reused';
    const successor = await store.find(token.successorId);
    // A consumed token with no successor was withdrawn: a concurrent retry is replacing it. Only
    // `rotate`, which locks the grant, can decide whether this is reuse.
    return successor?.consumedAt && successor.successorId ? 'reused' : 'retryable';
  }

  /**
   * Reports whether a retry has withdrawn the token within the reuse interval. If both responses
   * arrived, the client may present the withdrawn token: it is rejected, but is not reuse.
   */
  function isJustWithdrawn(token: StoredRefreshToken): boolean {
    return token.consumedAt !== null && token.successorId === null && isWithinReuseInterval(token);
  }

  function isWithinReuseInterval({ consumedAt }: StoredRefreshToken): boolean {
    return (
      reuseIntervalSeconds > 0 && consumedAt !== null && consumedAt > addSeconds(clock.now(), -reuseIntervalSeconds)
    );
  }
}
