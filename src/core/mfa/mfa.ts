/**
 * The second factor: an authenticator app (TOTP), and recovery codes in case it is lost. Callers
 * must require recent authentication before they change it.
 */

import { conflict, isUniqueViolation, notFound, unauthorized } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import type { Account, Queryable } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import { qrCodeSvg } from '../../base/qr-code.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import { type Audit, type AuditEvent, SYSTEM } from '../audit/audit.js';
import type { KnownLocations } from '../sessions/known-locations.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import { createRecoveryCodes } from './recovery-codes.js';
import { isTotp, newTotpSecret, otpauthUri, stepOf } from './totp.js';
import { CONFIRMED, createVerification, normalizeCode, SEALED_FOR } from './verification.js';

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lockActing'>;
  sessions: Sessions;
  knownLocations: KnownLocations;
}

/** The TOTP secret in three encodings. */
export interface TotpEnrollment {
  /** Base32, for typing. */
  secret: string;
  otpauthUri: string;
  qrSvg: string;
}

export interface MfaStatus {
  enrolled: boolean;
  recoveryCodesLeft: number;
}

const PENDING = { confirmedAt: null };

export type Mfa = ReturnType<typeof createMfa>;

export function createMfa(base: Base, { audit, accounts, sessions, knownLocations }: Deps) {
  const { db, transact, clock, secrets } = base;
  const { brandName } = base.config;
  const recoveryCodes = createRecoveryCodes({ db, transact, clock, audit });
  const { verify } = createVerification({ ...base, knownLocations, recoveryCodes });

  return {
    beginEnrollment,
    pendingEnrollment,
    confirmEnrollment,
    remove,
    removeLost,
    regenerateRecoveryCodes,
    status,
    isEnrolled,
    verify,
    removeAllFor,
  };

  /**
   * Starts enrollment with a new secret, which replaces an unconfirmed one. Throws `AppError`
   * `conflict` if a second factor is already set up.
   */
  async function beginEnrollment(account: Account): Promise<TotpEnrollment> {
    const secret = newTotpSecret();
    const sealedSecret = await secrets.seal(SEALED_FOR, secret);
    if (!(await replacePending(account.id, sealedSecret))) {
      const added = await addPending(account.id, sealedSecret);
      // A concurrent request may have added one: it is replaced.
      if (!added && !(await replacePending(account.id, sealedSecret)))
        throw conflict('A second factor is already set up. Remove it first.');
    }
    return describe(account, secret);
  }

  async function replacePending(accountId: string, sealedSecret: string): Promise<boolean> {
    const data = { sealedSecret, createdAt: clock.now() };
    return (await db.totpFactor.updateMany({ where: { accountId, ...PENDING }, data })).count === 1;
  }

  async function addPending(accountId: string, sealedSecret: string): Promise<boolean> {
    try {
      await db.totpFactor.create({ data: { accountId, sealedSecret, createdAt: clock.now() } });
      return true;
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      return false;
    }
  }

  /** Returns the unconfirmed enrollment, if any. */
  async function pendingEnrollment(account: Account): Promise<TotpEnrollment | undefined> {
    const factor = await db.totpFactor.findFirst({ where: { accountId: account.id, ...PENDING } });
    return factor ? describe(account, await secrets.open(SEALED_FOR, factor.sealedSecret)) : undefined;
  }

  function describe(account: Account, secret: string): TotpEnrollment {
    const uri = otpauthUri(secret, brandName, account.email);
    return { secret, otpauthUri: uri, qrSvg: qrCodeSvg(uri) };
  }

  /**
   * Confirms the enrollment with a first code and revokes the account's other sessions. Returns the
   * recovery codes, which are never shown again. Throws `AppError` `invalid_otp`, or `conflict` if
   * there is nothing to confirm.
   */
  async function confirmEnrollment(
    { account, session }: AuthenticatedSession,
    otp: string,
    meta: RequestMeta,
  ): Promise<string[]> {
    const accountId = account.id;
    const factor = await db.totpFactor.findFirst({ where: { accountId, ...PENDING } });
    if (!factor) throw conflict('There is no second factor to confirm. Start again.');
    const { sealedSecret } = factor;
    const code = normalizeCode(otp);
    const step = isTotp(code) ? stepOf(code, await secrets.open(SEALED_FOR, sealedSecret), clock.now()) : undefined;
    if (step === undefined) throw wrongOtp();
    return transact(async (uow) => {
      const { tx } = uow;
      // Concurrent sign-ins by password alone wait here, or their sessions are revoked below.
      await accounts.lockActing({ account, session }, tx);
      const { count } = await tx.totpFactor.updateMany({
        where: { accountId, sealedSecret, ...PENDING },
        data: { confirmedAt: clock.now(), lastStep: step }, // the code cannot be used again
      });
      if (count !== 1) throw conflict('This second factor was restarted or confirmed in the meantime.');
      await audit.record(uow, 'mfa.enrolled', { by: accountId, accountId, meta });
      const codes = await recoveryCodes.replace(accountId, tx);
      await sessions.revokeAll(uow, accountId, { reason: 'mfa_changed', except: session.id, meta });
      return codes;
    });
  }

  /**
   * Removes the second factor and revokes the account's other sessions. Throws `AppError`
   * `not_found`, or as `accounts.lockActing` does.
   */
  async function remove({ account, session }: AuthenticatedSession, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      await accounts.lockActing({ account, session }, uow.tx);
      await erase(uow, account, meta);
      await sessions.revokeAll(uow, account.id, { reason: 'mfa_changed', except: session.id, meta });
    });
  }

  /**
   * Removes the second factor of a user who lost the app and the recovery codes, on behalf of an
   * administrator, and revokes all sessions. Throws `AppError` `not_found`.
   */
  async function removeLost(account: Account): Promise<void> {
    await transact(async (uow) => {
      await erase(uow, account, systemMeta, SYSTEM);
      await sessions.revokeAll(uow, account.id, { reason: 'mfa_changed', meta: systemMeta, by: SYSTEM });
    });
  }

  async function erase(
    uow: UnitOfWork,
    { id: accountId }: Account,
    meta: RequestMeta,
    by: AuditEvent['by'] = accountId,
  ): Promise<void> {
    const { count } = await uow.tx.totpFactor.deleteMany({ where: { accountId, ...CONFIRMED } });
    if (count !== 1) throw notEnrolled();
    await uow.tx.recoveryCode.deleteMany({ where: { accountId } });
    await audit.record(uow, 'mfa.removed', { by, accountId, meta });
  }

  /** Deletes second factor and recovery codes. The caller revokes the account's sessions. */
  async function removeAllFor(accountId: string, tx: Queryable): Promise<void> {
    await tx.totpFactor.deleteMany({ where: { accountId } });
    await tx.recoveryCode.deleteMany({ where: { accountId } });
  }

  /**
   * Replaces the recovery codes and returns the new ones. Throws `AppError` `not_found`, or as
   * `accounts.lockActing` does.
   */
  async function regenerateRecoveryCodes(user: ActingUser, meta: RequestMeta): Promise<string[]> {
    const accountId = user.account.id;
    return transact(async (uow) => {
      const { tx } = uow;
      await accounts.lockActing(user, tx); // two concurrent renewals would leave two sets
      if (!(await isEnrolled(accountId, tx))) throw notEnrolled();
      await audit.record(uow, 'mfa.recovery_codes_regenerated', { by: accountId, accountId, meta });
      return recoveryCodes.replace(accountId, tx);
    });
  }

  /** Returns whether a second factor is set up and how many recovery codes are unused. */
  async function status(accountId: string): Promise<MfaStatus> {
    return { enrolled: await isEnrolled(accountId), recoveryCodesLeft: await recoveryCodes.left(accountId) };
  }

  /** Reports whether the account has a confirmed second factor. */
  async function isEnrolled(accountId: string, tx: Queryable = db): Promise<boolean> {
    return (
      (await tx.totpFactor.findFirst({ where: { accountId, ...CONFIRMED }, select: { accountId: true } })) !== null
    );
  }
}

/** Returns the error for a wrong or used second-factor code. */
export const wrongOtp = () => unauthorized('invalid_otp', 'This code is incorrect or was already used.');
const notEnrolled = () => notFound('No second factor is set up.');
