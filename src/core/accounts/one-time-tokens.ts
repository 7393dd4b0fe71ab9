/**
 * Secrets that are handed out in a link and work once: to set the server up, to verify an address,
 * to choose a password.
 */

import { unauthorized } from '../../base/app-error.js';
import { addSeconds, type Clock } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';

export type TokenPurpose = 'setup' | 'email' | 'reset';

export interface NewLink {
  /**
   * Whose it is. It then works only as long as the account has the address that it was mailed to.
   */
  account?: Account;
  seconds: number;
  /** How many there may be at a time, this one included, where it is not the only one. */
  atMost?: number;
}

/** What a link says that works no more. */
export const invalidLink = () => unauthorized('invalid_token', 'This link was used or has expired. Ask for a new one.');

export type OneTimeTokens = ReturnType<typeof createOneTimeTokens>;

export function createOneTimeTokens({ db, clock }: { db: Database; clock: Clock }) {
  return { create, find, consume, spendAll, revoke };

  /**
   * A token, 256 bits, of which only the hash is stored. Earlier ones of the same purpose and
   * account are void, but for `atMost`.
   */
  async function create(
    purpose: TokenPurpose,
    { account, seconds, atMost = 1 }: NewLink,
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
   * What a living token stands for, without spending it. Nothing when its account is suspended, or
   * has another address now.
   */
  async function find(purpose: TokenPurpose, token: string): Promise<{ account: Account | null } | undefined> {
    const where = { tokenHash: sha256(token), purpose, consumedAt: null, expiresAt: { gt: clock.now() } };
    const row = await db.oneTimeToken.findFirst({ where, include: { account: true } });
    if (!row) return undefined;
    const { email } = (row.data ?? {}) as { email?: string };
    const stands = !row.account || (row.account.status === 'active' && row.account.email === email);
    return stands ? { account: row.account } : undefined;
  }

  /**
   * Spends it. Of many at once exactly one is told yes; when the transaction fails, the token is as
   * good as before.
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
   * Spends it, and with it all others that are for nobody in particular: of many at once, with
   * whichever of them, exactly one is told yes. In the order of their hashes, so that nobody waits
   * in a ring.
   */
  async function spendAll(purpose: TokenPurpose, token: string, tx: Queryable): Promise<boolean> {
    const where = { purpose, accountId: null, consumedAt: null };
    const all = await tx.oneTimeToken.findMany({ where, orderBy: { tokenHash: 'asc' } });
    const [now, own] = [clock.now(), sha256(token)];
    let spent = false;
    for (const { tokenHash, expiresAt } of all) {
      const { count } = await tx.oneTimeToken.updateMany({
        where: { tokenHash, consumedAt: null },
        data: { consumedAt: now },
      });
      if (tokenHash === own && count === 1 && expiresAt > now) spent = true;
    }
    return spent;
  }

  /** Makes those void that nobody has used, but for the newest so many. */
  async function revoke(purpose: TokenPurpose, accountId: string | null, tx: Queryable, keep = 0): Promise<void> {
    const where = { purpose, accountId, consumedAt: null };
    const newest = keep > 0 && (await tx.oneTimeToken.findMany({ where, orderBy: { createdAt: 'desc' }, take: keep }));
    const others = newest && { tokenHash: { notIn: newest.map((one) => one.tokenHash) } };
    await tx.oneTimeToken.deleteMany({ where: { ...where, ...others } });
  }
}
