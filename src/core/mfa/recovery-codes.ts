/**
 * Recovery codes: what somebody keeps on paper for the day when the authenticator app is lost. Each
 * is good once.
 */
import { randomInt } from 'node:crypto';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
}

const RECOVERY_CODES = 10;
/**
 * Digits only: nothing to misread, and a telephone's number pad can type them. 24 are 80 bits: a
 * plain hash tells nothing of them.
 */
const DIGITS = 24;
const GROUP = /\d{4}(?=\d)/g;

export function createRecoveryCodes({ db, clock, audit }: Deps) {
  return { replace, take, left };

  /** A fresh set, shown this once; what is left of the one before is void. */
  async function replace(accountId: string, tx: Queryable): Promise<string[]> {
    const codes = newRecoveryCodes();
    const createdAt = clock.now();
    await tx.recoveryCode.deleteMany({ where: { accountId } });
    await tx.recoveryCode.createMany({
      data: codes.map((code) => ({ accountId, codeHash: hashRecoveryCode(code), createdAt })),
    });
    return codes;
  }

  /** False when it is none of the account's, or no more. */
  async function take({ id: accountId }: Account, code: string, meta: RequestMeta): Promise<boolean> {
    return db.$transaction(async (tx) => {
      const where = { accountId, codeHash: hashRecoveryCode(code) };
      if ((await tx.recoveryCode.deleteMany({ where })).count !== 1) return false;
      const actor = { kind: 'account' as const, id: accountId };
      const detail = { left: await left(accountId, tx) };
      await audit.record({ action: 'mfa.recovery_code_used', actor, accountId, meta, detail }, tx);
      return true;
    });
  }

  async function left(accountId: string, tx: Queryable = db): Promise<number> {
    return tx.recoveryCode.count({ where: { accountId } });
  }
}

/** As they are shown: `4831-0927-5560-1384-7726-0042`. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: RECOVERY_CODES }, () => {
    const digits = Array.from({ length: DIGITS }, () => randomInt(10));
    return digits.join('').replace(GROUP, '$&-');
  });
}

/** What is stored of a code, the same however it is typed. */
export const hashRecoveryCode = (code: string) => sha256(code.replace(/\D/g, ''));
