/**
 * Refresh tokens: single use, rotated, reuse ends the family.
 *
 * An answer can get lost on its way. A client that then sends the same token again, soon and with
 * the same key, is not a thief: it gets a new successor in place of the one that nobody has used.
 * What must never be is two living branches: then a stolen token would live beside the honest one
 * unseen. So the successor is replaced, not added to, in one transaction.
 */
import { addSeconds, type Clock } from '../../base/clock.js';
import type { Database, Prisma, Queryable, RefreshToken } from '../../base/db/open.js';
import type { FastPaths } from './postgresql.js';
import type { EphemeralStore, Payload } from './store.js';
import type { NewRefreshToken } from './token-family.js';

export interface StoredRefreshToken {
  grantId: string;
  payload: Payload;
  /**
   * `retryable`: spent a moment ago and its successor is not used yet. `spent`: whoever brings it
   * is a thief, or was robbed.
   */
  state: 'fresh' | 'retryable' | 'spent';
}

/**
 * `spent`: the token was redeemed for good, this is theft. `gone`: it, or its grant, is no longer
 * there.
 */
export type RotationOutcome = 'rotated' | 'spent' | 'gone';

interface Deps {
  db: Database;
  clock: Clock;
  store: EphemeralStore;
  /** For how long a lost answer may be asked for again, in seconds; 0 = never. */
  retrySeconds: number;
  fast: FastPaths | undefined;
}

/**
 * The kind of the mark that a JWT access token, which nobody stores, was revoked before its time.
 */
export const REVOKED = 'RevokedAccessToken';

export function createRefreshTokens({ db, clock, store, retrySeconds, fast }: Deps) {
  return { save, find, hasExpired, rotate, remove };

  /**
   * The first of a family. False when the grant has ended meanwhile; within the transaction that
   * makes the grant it cannot.
   */
  async function save(token: NewRefreshToken, within?: Queryable): Promise<boolean> {
    if (within) return insert(token, within).then(() => true);
    if (fast) return fast.saveRefreshToken(token, clock.now());
    try {
      await insert(token, db);
      return true;
    } catch (error) {
      if ((error as { code?: string }).code === 'P2003') return false;
      throw error;
    }
  }

  async function insert({ payload, ...token }: NewRefreshToken, tx: Queryable): Promise<void> {
    await tx.refreshToken.create({
      data: { ...token, payload: payload as Prisma.InputJsonObject, createdAt: clock.now() },
    });
  }

  async function find(id: string): Promise<StoredRefreshToken | undefined> {
    const row = fast ? await fast.findRefreshToken(id) : await db.refreshToken.findUnique({ where: { id } });
    if (!row || row.expiresAt <= clock.now() || isJustWithdrawn(row)) return undefined;
    return { grantId: row.grantId, payload: row.payload as Payload, state: await stateOf(row) };
  }

  /** Whether there was such a token, whose time is over. */
  async function hasExpired(id: string): Promise<boolean> {
    return (await db.refreshToken.count({ where: { id, expiresAt: { lte: clock.now() } } })) > 0;
  }

  /**
   * Spends a token and stores its successor, or, when the token was spent within the retry window
   * by the same key, puts the new successor in the place of the unused one. Whatever number of
   * calls run at once, one successor lives in the end.
   *
   * @param key what the redemption was bound to (DPoP or certificate thumbprint), if anything
   */
  async function rotate(
    spentId: string,
    successor: NewRefreshToken,
    key: string | undefined,
  ): Promise<RotationOutcome> {
    const redeemedWith = key ?? null;
    if (await fast?.rotateUnused(spentId, successor, redeemedWith, clock.now())) return 'rotated';
    return db.$transaction(async (tx) => {
      // The grant first, here as wherever a family is changed: so no two changes of one family wait
      // for each other in a ring.
      const family = await tx.grant.updateMany({ where: { id: successor.grantId }, data: { lastUsedAt: clock.now() } });
      const token = family.count === 1 ? await tx.refreshToken.findUnique({ where: { id: spentId } }) : null;
      if (!token || isJustWithdrawn(token)) return 'gone';
      if (
        token.consumedAt &&
        !(inWindow(token) && token.redeemedWith === redeemedWith && (await withdraw(token, tx)))
      ) {
        return 'spent';
      }
      const consumedAt = token.consumedAt ?? clock.now();
      const { count } = await tx.refreshToken.updateMany({
        where: { id: spentId },
        data: { consumedAt, successorId: successor.id, redeemedWith },
      });
      if (count === 0) return 'gone'; // revoked at this moment: its family ends next
      await insert(successor, tx);
      return 'rotated';
    });
  }

  /**
   * Takes back the answer that was lost: its refresh token, if nobody used it yet, and its access
   * token. The token stays as a spent one without a successor: if the answer was not lost but
   * stolen, whoever comes with it later gives the theft away.
   */
  async function withdraw({ successorId }: RefreshToken, tx: Queryable): Promise<boolean> {
    const lost = successorId ? await tx.refreshToken.findUnique({ where: { id: successorId } }) : null;
    if (!lost || lost.consumedAt) return false;
    const withdrawn = { consumedAt: clock.now(), successorId: null };
    if ((await tx.refreshToken.updateMany({ where: { id: lost.id }, data: withdrawn })).count === 0) return false;
    if (lost.accessTokenId) {
      await store.remove('AccessToken', lost.accessTokenId, tx);
      // If it was a JWT. Kept as long as its grant, without which it is nothing; the client may
      // have revoked it already.
      const mark = { kind: REVOKED, id: lost.accessTokenId };
      const { expiresAt } = await tx.grant.findUniqueOrThrow({ where: { id: lost.grantId } });
      await tx.oidcArtifact.upsert({
        where: { kind_id: mark },
        create: { ...mark, payload: {}, createdAt: clock.now(), expiresAt },
        update: { expiresAt },
      });
    }
    return true;
  }

  async function remove(id: string): Promise<void> {
    await db.refreshToken.deleteMany({ where: { id } });
  }

  async function stateOf(token: RefreshToken): Promise<StoredRefreshToken['state']> {
    if (!token.consumedAt) return 'fresh';
    if (!inWindow(token) || !token.successorId) return 'spent';
    const successor = await db.refreshToken.findUnique({
      where: { id: token.successorId },
      select: { consumedAt: true, successorId: true },
    });
    // Withdrawn: another retry is replacing it at this moment. `rotate` decides, under the lock.
    return successor?.consumedAt && successor.successorId ? 'spent' : 'retryable';
  }

  /**
   * Of two answers that both arrived one is worth nothing: whoever tries it at once gets a plain
   * no, and the family lives.
   */
  function isJustWithdrawn(token: RefreshToken): boolean {
    return token.consumedAt !== null && token.successorId === null && inWindow(token);
  }

  function inWindow({ consumedAt }: RefreshToken): boolean {
    return retrySeconds > 0 && consumedAt !== null && consumedAt > addSeconds(clock.now(), -retrySeconds);
  }
}
