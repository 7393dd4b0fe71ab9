/**
 * What providers elsewhere gave for people, where the keeper asked that it be kept: sealed, bound
 * to the identity, gone with it. A refresh token may be good for one use, so whoever spends it
 * takes a lease first: one of all who ask, in whatever process, and for seconds only.
 */
import { addSeconds, type Clock } from '../../base/clock.js';
import { randomToken, type Secrets } from '../../base/crypto.js';
import type { Database, Queryable, StoredTokens as Row } from '../../base/db/open.js';

/** As a provider gives them. */
export interface GivenTokens {
  accessToken: string;
  /** Left out: the one before stays good. */
  refreshToken: string | undefined;
  tokenType: string;
  /** Separated by spaces. Left out where it is not known. */
  scope: string | undefined;
  /** Of the access token; undefined when it was not told. */
  expiresAt: Date | undefined;
}

/** The access token, as it lies there. */
export interface StoredToken extends Pick<GivenTokens, 'accessToken' | 'tokenType' | 'scope'> {
  expiresAt: Date | undefined;
}

/** The right to spend a refresh token, which nobody else has meanwhile. */
export interface Lease {
  row: Row;
  by: string;
  refreshToken: string;
}

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  /** Whose tokens are kept. */
  issuers: string[];
}

const SEALED_FOR = 'kept-tokens';
/**
 * Twice what both answers of a provider may take, for clocks differ; and short enough for a person
 * to wait after a crash.
 */
export const LEASE_SECONDS = 20;

export type TokenVault = ReturnType<typeof createTokenVault>;

export function createTokenVault({ db, clock, secrets, issuers }: Deps) {
  return { store, find, listFor, idsFor, canRenew, open, openRefresh, lease, renew, release, discard, sweep };

  /** Replaces what was kept, in the transaction of the verb that made sure of the person. */
  async function store(identityId: string, given: GivenTokens, tx: Queryable): Promise<void> {
    const sealed = await seal(identityId, given);
    // A new refresh token ends a renewal by the old one; without a new one, what comes of the
    // renewal counts.
    const data = { ...sealed, ...(given.refreshToken && NO_LEASE) };
    await tx.storedTokens.upsert({ where: { identityId }, create: { identityId, ...data }, update: data });
  }

  async function find(identityId: string, tx: Queryable = db): Promise<Row | undefined> {
    return (await tx.storedTokens.findUnique({ where: { identityId } })) ?? undefined;
  }

  /** All that lies there for an account, whether or not it may be kept any more. */
  async function listFor(accountId: string, tx: Queryable): Promise<(Row & { identity: { issuer: string } })[]> {
    return tx.storedTokens.findMany({
      where: { identity: { accountId } },
      include: { identity: { select: { issuer: true } } },
    });
  }

  /** The identities of an account for which something is kept. */
  async function idsFor(accountId: string): Promise<Set<string>> {
    const where = { identity: { accountId, issuer: { in: issuers } } };
    const rows = await db.storedTokens.findMany({ where, select: { identityId: true } });
    return new Set(rows.map(({ identityId }) => identityId));
  }

  /** Whether there is a refresh token of this person, as far as it is known here. */
  async function canRenew({ issuer, subject }: { issuer: string; subject: string }): Promise<boolean> {
    const row = await db.storedTokens.findFirst({ where: { identity: { issuer, subject } } });
    return row !== null && (await openRefresh(row)) !== undefined;
  }

  /**
   * Undefined when it cannot be opened: sealed with a secret that is gone, or for another identity.
   */
  async function open({ identityId, sealedAccess, expiresAt }: Row): Promise<StoredToken | undefined> {
    const text = await opened(sealedAccess, boundTo(identityId, 'access'));
    if (text === undefined) return undefined;
    const access = JSON.parse(text) as Omit<StoredToken, 'expiresAt'>;
    return { ...access, expiresAt: expiresAt ?? undefined };
  }

  /** Undefined as well when there is none. */
  async function openRefresh({ identityId, sealedRefresh }: Row): Promise<string | undefined> {
    return sealedRefresh === null ? undefined : opened(sealedRefresh, boundTo(identityId, 'refresh'));
  }

  /** Undefined while somebody else has it, or when the row is not as it was seen. */
  async function lease(row: Row, refreshToken: string): Promise<Lease | undefined> {
    const now = clock.now();
    const { identityId, sealedAccess, leaseExpiresAt } = row;
    if (leaseExpiresAt && leaseExpiresAt > now) return undefined; // many who wait write nothing
    const by = randomToken(12);
    const free = [{ leaseExpiresAt: null }, { leaseExpiresAt: { lte: now } }];
    const { count } = await db.storedTokens.updateMany({
      where: { identityId, sealedAccess, OR: free },
      data: { leaseHolder: by, leaseExpiresAt: addSeconds(now, LEASE_SECONDS) },
    });
    return count === 1 ? { row, by, refreshToken } : undefined;
  }

  /** What came of a lease. False when it counts no more: something newer is there, or nothing. */
  async function renew({ row: { identityId }, by }: Lease, given: GivenTokens): Promise<boolean> {
    const data = { ...(await seal(identityId, given)), ...NO_LEASE };
    return (await db.storedTokens.updateMany({ where: { identityId, leaseHolder: by }, data })).count === 1;
  }

  /** Nothing came of it: the next one may try at once. */
  async function release({ row: { identityId }, by }: Lease): Promise<void> {
    await db.storedTokens.updateMany({ where: { identityId, leaseHolder: by }, data: NO_LEASE });
  }

  /**
   * What was leased is good for nothing any more. False when something newer is there, which stays.
   */
  async function discard({ row: { identityId, sealedAccess }, by }: Lease, tx: Queryable): Promise<boolean> {
    return (await tx.storedTokens.deleteMany({ where: { identityId, sealedAccess, leaseHolder: by } })).count === 1;
  }

  /** Deletes what may not be kept any more, and what is good for nothing. Returns how many. */
  async function sweep(): Promise<number> {
    const forgotten = { identity: { issuer: { notIn: issuers } } };
    const over = { sealedRefresh: null, expiresAt: { lte: clock.now() } };
    return (await db.storedTokens.deleteMany({ where: { OR: [forgotten, over] } })).count;
  }

  async function seal(identityId: string, { refreshToken, expiresAt, ...access }: GivenTokens) {
    const sealedAccess = await secrets.seal(SEALED_FOR, JSON.stringify(access), boundTo(identityId, 'access'));
    const sealedRefresh =
      refreshToken && (await secrets.seal(SEALED_FOR, refreshToken, boundTo(identityId, 'refresh')));
    return { sealedAccess, expiresAt: expiresAt ?? null, ...(sealedRefresh && { sealedRefresh }) };
  }

  function opened(sealed: string, bound: string): Promise<string | undefined> {
    return secrets.open(SEALED_FOR, sealed, bound).catch(() => undefined);
  }
}

/** Nobody renews it. */
const NO_LEASE = { leaseHolder: null, leaseExpiresAt: null };

const boundTo = (identityId: string, part: 'access' | 'refresh') => `${identityId} ${part}`;
