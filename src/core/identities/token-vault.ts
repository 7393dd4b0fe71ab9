/**
 * Stores the tokens of the external providers in FEDERATION_STORE_TOKENS. They are encrypted, bound
 * to the identity, and deleted with it. A refresh token can be single use, so a caller must take a
 * lease before it uses one. Only one caller in all processes can have the lease, for some seconds.
 */
import { addSeconds, type Clock } from '../../base/clock.js';
import { randomToken, type Secrets } from '../../base/crypto.js';
import type { Database, Queryable, StoredTokens as Row } from '../../base/db/open.js';

/** The tokens of a provider's token response. */
export interface ReceivedTokens {
  accessToken: string;
  /** Undefined if the previous one stays valid. */
  refreshToken: string | undefined;
  tokenType: string;
  /** Separated by spaces. Undefined if unknown. */
  scope: string | undefined;
  /** When the access token expires. Undefined if unknown. */
  expiresAt: Date | undefined;
}

/** A stored access token. */
export interface StoredToken extends Pick<ReceivedTokens, 'accessToken' | 'tokenType' | 'scope'> {
  expiresAt: Date | undefined;
}

/** The exclusive right to use a refresh token. */
export interface Lease {
  row: Row;
  by: string;
  refreshToken: string;
}

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  /** The issuers whose tokens are stored. */
  issuers: string[];
}

const KEY_PURPOSE = 'kept-tokens';
/**
 * Twice the time limit of the two requests to a provider, because clocks differ. After a crash,
 * users wait this long.
 */
export const LEASE_SECONDS = 20;

export type TokenVault = ReturnType<typeof createTokenVault>;

export function createTokenVault({ db, clock, secrets, issuers }: Deps) {
  return { store, find, listFor, idsFor, canRenew, open, openRefresh, lease, renew, release, discard, sweep };

  /** Stores or replaces tokens in the caller's transaction. */
  async function store(identityId: string, received: ReceivedTokens, tx: Queryable): Promise<void> {
    const sealed = await seal(identityId, received);
    // A new refresh token cancels a refresh that uses the old one. Otherwise, the result of that
    // refresh must be stored.
    const data = { ...sealed, ...(received.refreshToken && NO_LEASE) };
    await tx.storedTokens.upsert({ where: { identityId }, create: { identityId, ...data }, update: data });
  }

  /** Returns the stored row of an identity. */
  async function find(identityId: string, tx: Queryable = db): Promise<Row | undefined> {
    return (await tx.storedTokens.findUnique({ where: { identityId } })) ?? undefined;
  }

  /** Returns all rows of an account, even of issuers whose tokens are no longer stored. */
  async function listFor(accountId: string, tx: Queryable): Promise<(Row & { identity: { issuer: string } })[]> {
    return tx.storedTokens.findMany({
      where: { identity: { accountId } },
      include: { identity: { select: { issuer: true } } },
    });
  }

  /** Returns the ids of the account's identities with stored tokens. */
  async function idsFor(accountId: string): Promise<Set<string>> {
    const where = { identity: { accountId, issuer: { in: issuers } } };
    const rows = await db.storedTokens.findMany({ where, select: { identityId: true } });
    return new Set(rows.map(({ identityId }) => identityId));
  }

  /** Reports whether a refresh token of the user is stored. */
  async function canRenew({ issuer, subject }: { issuer: string; subject: string }): Promise<boolean> {
    const row = await db.storedTokens.findFirst({ where: { identity: { issuer, subject } } });
    return row !== null && (await openRefresh(row)) !== undefined;
  }

  /**
   * Decrypts the access token. Returns undefined if it was encrypted with a removed secret, or for
   * another identity.
   */
  async function open({ identityId, sealedAccess, expiresAt }: Row): Promise<StoredToken | undefined> {
    const text = await decrypt(sealedAccess, boundTo(identityId, 'access'));
    if (text === undefined) return undefined;
    const access = JSON.parse(text) as Omit<StoredToken, 'expiresAt'>;
    return { ...access, expiresAt: expiresAt ?? undefined };
  }

  /** Decrypts the refresh token. Returns undefined if it is missing or cannot be decrypted. */
  async function openRefresh({ identityId, sealedRefresh }: Row): Promise<string | undefined> {
    return sealedRefresh === null ? undefined : decrypt(sealedRefresh, boundTo(identityId, 'refresh'));
  }

  /** Takes the lease. Returns undefined if another caller has it, or the row has changed. */
  async function lease(row: Row, refreshToken: string): Promise<Lease | undefined> {
    const now = clock.now();
    const { identityId, sealedAccess, leaseExpiresAt } = row;
    if (leaseExpiresAt && leaseExpiresAt > now) return undefined; // polling callers cause no writes
    const by = randomToken(12);
    const free = [{ leaseExpiresAt: null }, { leaseExpiresAt: { lte: now } }];
    const { count } = await db.storedTokens.updateMany({
      where: { identityId, sealedAccess, OR: free },
      data: { leaseHolder: by, leaseExpiresAt: addSeconds(now, LEASE_SECONDS) },
    });
    return count === 1 ? { row, by, refreshToken } : undefined;
  }

  /** Stores the refreshed tokens. Returns false if the row was replaced or deleted. */
  async function renew({ row: { identityId }, by }: Lease, received: ReceivedTokens): Promise<boolean> {
    const data = { ...(await seal(identityId, received)), ...NO_LEASE };
    return (await db.storedTokens.updateMany({ where: { identityId, leaseHolder: by }, data })).count === 1;
  }

  /** Releases a lease without a result, so that the next caller can take it immediately. */
  async function release({ row: { identityId }, by }: Lease): Promise<void> {
    await db.storedTokens.updateMany({ where: { identityId, leaseHolder: by }, data: NO_LEASE });
  }

  /** Deletes tokens that are no longer valid. Returns false if newer ones were stored. */
  async function discard({ row: { identityId, sealedAccess }, by }: Lease, tx: Queryable): Promise<boolean> {
    return (await tx.storedTokens.deleteMany({ where: { identityId, sealedAccess, leaseHolder: by } })).count === 1;
  }

  /** Deletes expired tokens and those of issuers that are no longer stored. Returns how many. */
  async function sweep(): Promise<number> {
    const notStored = { identity: { issuer: { notIn: issuers } } };
    const expired = { sealedRefresh: null, expiresAt: { lte: clock.now() } };
    return (await db.storedTokens.deleteMany({ where: { OR: [notStored, expired] } })).count;
  }

  async function seal(identityId: string, { refreshToken, expiresAt, ...access }: ReceivedTokens) {
    const sealedAccess = await secrets.seal(KEY_PURPOSE, JSON.stringify(access), boundTo(identityId, 'access'));
    const sealedRefresh =
      refreshToken && (await secrets.seal(KEY_PURPOSE, refreshToken, boundTo(identityId, 'refresh')));
    return { sealedAccess, expiresAt: expiresAt ?? null, ...(sealedRefresh && { sealedRefresh }) };
  }

  function decrypt(sealed: string, bound: string): Promise<string | undefined> {
    return secrets.open(KEY_PURPOSE, sealed, bound).catch(() => undefined);
  }
}

const NO_LEASE = { leaseHolder: null, leaseExpiresAt: null };

const boundTo = (identityId: string, part: 'access' | 'refresh') => `${identityId} ${part}`;
