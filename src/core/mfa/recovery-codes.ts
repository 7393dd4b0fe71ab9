/** Recovery codes: single-use codes that replace a lost authenticator app. */
import { randomInt } from 'node:crypto';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit } from '../audit/audit.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
}

const RECOVERY_CODES = 10;
/**
 * Digits only, so that they are easy to read and to type on a phone. 24 digits are 80 bits, so a
 * fast hash is enough.
 */
const DIGITS = 24;
const GROUP = /\d{4}(?=\d)/g;

export function createRecoveryCodes({ db, transact, clock, audit }: Deps) {
  return { replace, consume, left };

  /** Replaces all codes of an account and returns the new ones. Only their hashes are stored. */
  async function replace(accountId: string, tx: Queryable): Promise<string[]> {
    const codes = newRecoveryCodes();
    const createdAt = clock.now();
    await tx.recoveryCode.deleteMany({ where: { accountId } });
    await tx.recoveryCode.createMany({
      data: codes.map((code) => ({ accountId, codeHash: hashRecoveryCode(code), createdAt })),
    });
    return codes;
  }

  /** Consumes a code. Returns false if it is not an unused code of the account. */
  async function consume({ id: accountId }: Account, code: string, meta: RequestMeta): Promise<boolean> {
    return transact(async (uow) => {
      const { tx } = uow;
      const where = { accountId, codeHash: hashRecoveryCode(code) };
      if ((await tx.recoveryCode.deleteMany({ where })).count !== 1) return false;
      const detail = { left: await left(accountId, tx) };
      await audit.record(uow, 'mfa.recovery_code_used', { by: accountId, accountId, meta, detail });
      return true;
    });
  }

  /** Returns the number of unused codes. */
  async function left(accountId: string, tx: Queryable = db): Promise<number> {
    return tx.recoveryCode.count({ where: { accountId } });
  }
}

/** Returns new codes such as `4831-0927-5560-1384-7726-0042`. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const digits = Array.from({ length: DIGITS }, () => randomInt(10));
    return digits.join('').replace(GROUP, '$&-');
  });
}

/** Returns the stored hash of a code. Spaces and hyphens do not matter. */
export const hashRecoveryCode = (code: string) => sha256(code.replace(/\D/g, ''));
