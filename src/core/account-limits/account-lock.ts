/** Locks accounts. A change of an account, or of what it has, locks its row first. */
import type { Account, Queryable } from '../../base/db/open.js';

/** Locks the account until the transaction ends, and returns its current state. */
export async function lockAccount(id: string, tx: Queryable): Promise<Account | null> {
  await tx.$executeRaw`UPDATE "Account" SET "status" = "status" WHERE "id" = ${id}`;
  return tx.account.findUnique({ where: { id } });
}
