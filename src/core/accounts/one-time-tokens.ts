/** One-time tokens in links for setup, e-mail verification and password resets. */

import { unauthorized } from '../../base/app-error.js';
import { addSeconds, type Clock } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';

export type TokenPurpose = 'setup' | 'email' | 'reset';

export interface NewToken {
  /** The account of the token. The token is invalid once the account's e-mail address changes. */
  account?: Account;
  /** The lifetime of the token. */
  seconds: number;
  /**
   * How many tokens of an account can be valid at the same time, including this one. Default: 1.
   */
  atMost?: number;
}

/** Returns the error for a used or expired link. */
export const invalidLink = () => unauthorized('invalid_token', 'This link was used or has expired. Request a new one.');

export type OneTimeTokens = ReturnType<typeof createOneTimeTokens>;

export function createOneTimeTokens({ db, clock }: { db: Database; clock: Clock }) {
  return { create, find, consume, consumeAll, revoke };

  /**
   * Creates a token of 256 bits, of which only the hash is stored. Earlier tokens of the same
   * purpose and account become invalid, except the newest ones that `atMost` allows.
   */
  async function create(
    purpose: TokenPurpose,
    { account, seconds, atMost = 1 }: NewToken,
    tx: Queryable,
  ): Promise<string> {
    const token = randomToken();
    const now = clock.now();
    await revoke(purpose, account?.id ?? null, tx, atMost - 1);
    await tx.oneTimeToken.create({
      data: {
        tokenHash: sha256(token),
        purpose,
        accountId: account?.id,
        ...(account && { data: { email: account.email } }),
        createdAt: now,
        expiresAt: addSeconds(now, seconds),
      },
    });
    return token;
  }

  /**
   * Returns the account of a valid token without consuming it. Returns undefined if the token is
   * invalid, or its account is suspended or now has another e-mail address.
   */
  async function find(purpose: TokenPurpose, token: string): Promise<{ account: Account | null } | undefined> {
    const where = { tokenHash: sha256(token), purpose, consumedAt: null, expiresAt: { gt: clock.now() } };
    const row = await db.oneTimeToken.findFirst({ where, include: { account: true } });
    if (!row) return undefined;
    const { email } = (row.data ?? {}) as { email?: string };
    const isValid = !row.account || (row.account.status === 'active' && row.account.email === email);
    return isValid ? { account: row.account } : undefined;
  }

  /**
   * Consumes the token. Only one of several concurrent calls returns true. If the transaction rolls
   * back, the token is still valid.
   */
  async function consume(purpose: TokenPurpose, token: string, tx: Queryable): Promise<boolean> {
    const now = clock.now();
    const { count } = await tx.oneTimeToken.updateMany({
      where: { tokenHash: sha256(token), purpose, consumedAt: null, expiresAt: { gt: now } },
      data: { consumedAt: now },
    });
    return count === 1;
  }

  /**
   * Consumes all tokens without an account, and reports whether `token` was a valid one of them.
   * Only one of several concurrent calls returns true, even if they have different valid tokens.
   * Locks rows in the order of their hashes, to avoid deadlocks.
   */
  async function consumeAll(purpose: TokenPurpose, token: string, tx: Queryable): Promise<boolean> {
    const where = { purpose, accountId: null, consumedAt: null };
    const unused = await tx.oneTimeToken.findMany({ where, orderBy: { tokenHash: 'asc' } });
    const [now, ownHash] = [clock.now(), sha256(token)];
    let consumed = false;
    for (const { tokenHash, expiresAt } of unused) {
      const { count } = await tx.oneTimeToken.updateMany({
        where: { tokenHash, consumedAt: null },
        data: { consumedAt: now },
      });
      if (tokenHash === ownHash && count === 1 && expiresAt > now) consumed = true;
    }
    return consumed;
  }

  /** Deletes the unused tokens of an account, except the newest `keepCount` ones. */
  async function revoke(purpose: TokenPurpose, accountId: string | null, tx: Queryable, keepCount = 0): Promise<void> {
    const where = { purpose, accountId, consumedAt: null };
    const newest =
      keepCount > 0 && (await tx.oneTimeToken.findMany({ where, orderBy: { createdAt: 'desc' }, take: keepCount }));
    const others = newest && { tokenHash: { notIn: newest.map(({ tokenHash }) => tokenHash) } };
    await tx.oneTimeToken.deleteMany({ where: { ...where, ...others } });
  }
}
