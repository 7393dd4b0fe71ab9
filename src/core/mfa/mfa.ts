/**
 * The second factor: an authenticator app, and recovery codes for when it is lost. Whoever has
 * enrolled one is not let in by a password alone. That the person proved who they are lately is for
 * the door to ask; here it is only done.
 */

import { conflict, isUniqueViolation, notFound, unauthorized } from '../../base/app-error.js';
import { type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { qrCodeSvg } from '../../base/qr-code.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';
import type { KnownLocations } from '../sessions/known-locations.js';
import type { AuthenticatedSession, Sessions } from '../sessions/sessions.js';
import { createRecoveryCodes } from './recovery-codes.js';
import { isTotp, newTotpSecret, otpauthUri, stepOf } from './totp.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  secrets: Secrets;
  rateLimiter: RateLimiter;
  audit: Audit;
  accounts: Pick<Accounts, 'lock'>;
  sessions: Sessions;
  knownLocations: KnownLocations;
  brandName: string;
}

/** What an authenticator app has to learn, three times the same. */
export interface Enrolment {
  /** Base32, for whoever types it. */
  secret: string;
  otpauthUri: string;
  qrSvg: string;
}

export interface FactorState {
  enrolled: boolean;
  recoveryCodesLeft: number;
}

const CODE = 'auth_rate_limited';
/**
 * Guesses at the six digits, of whoever has the password: the more there were, the longer the wait.
 * All places from which nobody came past this step before share these, so that guesses from
 * everywhere are as few. A place from which somebody did has them for itself: nobody elsewhere
 * locks the owner out there.
 */
const CODE_ATTEMPTS: Limit[] = [
  { name: 'otp-minutes', points: 5, seconds: 5 * MINUTE_SECONDS, code: CODE },
  { name: 'otp-hour', points: 15, seconds: HOUR_SECONDS, code: CODE },
  { name: 'otp-day', points: 30, seconds: DAY_SECONDS, code: CODE },
];
/**
 * Nobody guesses 80 bits. Counted apart, and by address, so that no guesses from elsewhere keep the
 * owner from the paper.
 */
const RECOVERY_CODE_ATTEMPTS: Limit = { name: 'recovery-code', points: 20, seconds: HOUR_SECONDS, code: CODE };
const SEALED_FOR = 'totp';
const CONFIRMED = { confirmedAt: { not: null } };
const PENDING = { confirmedAt: null };

export type Mfa = ReturnType<typeof createMfa>;

export function createMfa({
  db,
  transact,
  clock,
  secrets,
  rateLimiter,
  audit,
  accounts,
  sessions,
  knownLocations,
  brandName,
}: Deps) {
  const recoveryCodes = createRecoveryCodes({ db, clock, audit });

  return { begin, pending, confirm, remove, removeLost, renewRecoveryCodes, state, isEnrolled, verify, removeAllFor };

  /**
   * Makes a secret for an app to learn. It counts once it is confirmed; an earlier one that was not
   * is void. Refuses with `conflict`.
   */
  async function begin(account: Account): Promise<Enrolment> {
    const secret = newTotpSecret();
    const sealedSecret = await secrets.seal(SEALED_FOR, secret);
    if (!(await replacePending(account.id, sealedSecret))) {
      const added = await addPending(account.id, sealedSecret);
      // Another request may have begun at the same moment: then what it began is replaced.
      if (!added && !(await replacePending(account.id, sealedSecret)))
        throw conflict('A second factor is set up already. Remove it first.');
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

  /** What was begun and waits to be confirmed. */
  async function pending(account: Account): Promise<Enrolment | undefined> {
    const factor = await db.totpFactor.findFirst({ where: { accountId: account.id, ...PENDING } });
    return factor ? describe(account, await secrets.open(SEALED_FOR, factor.sealedSecret)) : undefined;
  }

  function describe(account: Account, secret: string): Enrolment {
    const uri = otpauthUri(secret, brandName, account.email);
    return { secret, otpauthUri: uri, qrSvg: qrCodeSvg(uri) };
  }

  /**
   * The app has shown a right code: from now on it is asked for, and the account's other logins
   * end. Returns recovery codes, this once. Refuses with `invalid_otp`, or with `conflict` when
   * there is nothing to confirm.
   */
  async function confirm(
    { account, session }: AuthenticatedSession,
    otp: string,
    meta: RequestMeta,
  ): Promise<string[]> {
    const accountId = account.id;
    const factor = await db.totpFactor.findFirst({ where: { accountId, ...PENDING } });
    if (!factor) throw conflict('There is no second factor to confirm. Begin again.');
    const { sealedSecret } = factor;
    const code = plain(otp);
    const step = isTotp(code) ? stepOf(code, await secrets.open(SEALED_FOR, sealedSecret), clock.now()) : undefined;
    if (step === undefined) throw wrongOtp();
    return transact(async (uow) => {
      const { tx } = uow;
      // Concurrent sign-ins by the password alone wait here, or have created the session that is revoked below.
      await accounts.lock(accountId, tx);
      const { count } = await tx.totpFactor.updateMany({
        where: { accountId, sealedSecret, ...PENDING },
        data: { confirmedAt: clock.now(), lastStep: step }, // this code is spent
      });
      if (count !== 1) throw conflict('This second factor was begun anew, or confirmed, meanwhile.');
      await record('mfa.enrolled', account, meta, tx);
      const codes = await recoveryCodes.replace(accountId, tx);
      await sessions.revokeAll(uow, accountId, { reason: 'factors_changed', except: session.id, meta });
      return codes;
    });
  }

  /**
   * From now on the password is enough. The account's other logins end. Refuses with `not_found`.
   */
  async function remove({ account, session }: AuthenticatedSession, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      await erase(account, meta, uow.tx);
      await sessions.revokeAll(uow, account.id, { reason: 'factors_changed', except: session.id, meta });
    });
  }

  /**
   * The keeper's help for somebody who has lost app and codes; every login of the account ends.
   * Refuses with `not_found`.
   */
  async function removeLost(account: Account): Promise<void> {
    await transact(async (uow) => {
      await erase(account, systemMeta, uow.tx, { kind: 'system' });
      await sessions.revokeAll(uow, account.id, { reason: 'factors_changed', meta: systemMeta });
    });
  }

  async function erase(account: Account, meta: RequestMeta, tx: Queryable, actor?: AuditEntry['actor']): Promise<void> {
    const accountId = account.id;
    const { count } = await tx.totpFactor.deleteMany({ where: { accountId, ...CONFIRMED } });
    if (count !== 1) throw none();
    await tx.recoveryCode.deleteMany({ where: { accountId } });
    await record('mfa.removed', account, meta, tx, actor);
  }

  /** Without a factor, and without a code. Part of a verb that ends the account's logins. */
  async function removeAllFor(accountId: string, tx: Queryable): Promise<void> {
    await tx.totpFactor.deleteMany({ where: { accountId } });
    await tx.recoveryCode.deleteMany({ where: { accountId } });
  }

  /**
   * A fresh set, shown this once; what is left of the one before is void. Refuses with `not_found`.
   */
  async function renewRecoveryCodes(account: Account, meta: RequestMeta): Promise<string[]> {
    const accountId = account.id;
    return transact(async ({ tx }) => {
      // Changes nothing, and holds the row: two renewals at once would leave two sets.
      const { count } = await tx.totpFactor.updateMany({ where: { accountId, ...CONFIRMED }, data: { accountId } });
      if (count !== 1) throw none();
      await record('mfa.recovery_codes_regenerated', account, meta, tx);
      return recoveryCodes.replace(accountId, tx);
    });
  }

  async function state(accountId: string): Promise<FactorState> {
    return { enrolled: await isEnrolled(accountId), recoveryCodesLeft: await recoveryCodes.left(accountId) };
  }

  /** Whether the password is not enough. */
  async function isEnrolled(accountId: string, tx: Queryable = db): Promise<boolean> {
    return (
      (await tx.totpFactor.findFirst({ where: { accountId, ...CONFIRMED }, select: { accountId: true } })) !== null
    );
  }

  /**
   * Takes a code of the app or a recovery code, each of them once. Returns how the person proved it
   * (RFC 8176), or undefined when the code is wrong or was used. Refuses with `auth_rate_limited`.
   * Ask for the password, or a login, first.
   */
  async function verify(account: Account, otp: string, meta: RequestMeta): Promise<string[] | undefined> {
    const code = plain(otp);
    const right = isTotp(code)
      ? await consumeAttempt(CODE_ATTEMPTS, await attemptKey(account, meta), () => verifyTotp(account, code))
      : await consumeAttempt([RECOVERY_CODE_ATTEMPTS], `${account.id}:${rateLimitKey(meta.address)}`, () =>
          recoveryCodes.take(account, code, meta),
        );
    return right ? ['otp'] : undefined;
  }

  /** Counted before the code is looked at, so that many guesses at once are counted too. */
  async function consumeAttempt(counted: Limit[], guesser: string, take: () => Promise<boolean>): Promise<boolean> {
    for (const limit of counted) await rateLimiter.consume(limit, guesser);
    const right = await take();
    if (right) for (const limit of counted) await rateLimiter.reset(limit, guesser);
    return right;
  }

  /**
   * Somebody at a place from which they were let in since there is a second factor, or somebody
   * anywhere. Logins from before it took the password alone, and ended with it.
   */
  async function attemptKey({ id: accountId }: Account, meta: RequestMeta): Promise<string> {
    const factor = await db.totpFactor.findFirst({
      where: { accountId, ...CONFIRMED },
      select: { confirmedAt: true },
    });
    const place = factor?.confirmedAt ? await knownLocations.find(accountId, meta, factor.confirmedAt) : undefined;
    return place ? `${accountId}:${place}` : accountId;
  }

  async function verifyTotp({ id: accountId }: Account, code: string): Promise<boolean> {
    const factor = await db.totpFactor.findFirst({ where: { accountId, ...CONFIRMED } });
    if (!factor) return false;
    const secret = await secrets.open(SEALED_FOR, factor.sealedSecret);
    const step = stepOf(code, secret, clock.now());
    if (step === undefined) return false;
    // RFC 6238, 5.2: a code is taken once, nor is an older one taken after it. Sealed anew, so that
    // whoever comes now and then is not locked out by changes of SECRET.
    const { count } = await db.totpFactor.updateMany({
      where: { accountId, confirmedAt: factor.confirmedAt, lastStep: { lt: step } },
      data: { lastStep: step, sealedSecret: await secrets.seal(SEALED_FOR, secret) },
    });
    return count === 1;
  }

  async function record(
    action: AuditEntry['action'],
    { id }: Account,
    meta: RequestMeta,
    tx: Queryable,
    actor: AuditEntry['actor'] = { kind: 'account', id },
  ): Promise<void> {
    await audit.record({ action, actor, accountId: id, meta }, tx);
  }
}

/** The same code, typed on another keyboard or with a blank in the middle. */
const plain = (otp: string) => otp.normalize('NFKC').replace(/[\s-]/g, '');

export const wrongOtp = () => unauthorized('invalid_otp', 'This code is not right, or was used before.');
const none = () => notFound('No second factor is set up.');
