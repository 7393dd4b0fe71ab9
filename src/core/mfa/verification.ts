/** Verifies second-factor codes: rate limits, single use, and TOTP or recovery codes. */

import type { Clock } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Account, Database } from '../../base/db/open.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { KnownLocations } from '../sessions/known-locations.js';
import type { createRecoveryCodes } from './recovery-codes.js';
import { isTotp, stepOf } from './totp.js';

interface Deps {
  db: Database;
  clock: Clock;
  secrets: Secrets;
  rateLimiter: RateLimiter;
  knownLocations: KnownLocations;
  recoveryCodes: ReturnType<typeof createRecoveryCodes>;
}

/**
 * Attempts at a TOTP code by a client that knows the password. All unknown locations share these
 * limits, so a distributed attack gets no more attempts. Each known location has its own, so that
 * an attacker cannot lock the owner out there.
 */
const CODE_ATTEMPTS = [LIMITS['otp-minutes'], LIMITS['otp-hour'], LIMITS['otp-day']];
/**
 * Attempts at a recovery code, whose 80 bits cannot be guessed. Counted separately and by address,
 * so that an attacker cannot block the owner's recovery codes.
 */
const RECOVERY_CODE_ATTEMPTS = LIMITS['recovery-code'];
/** The purpose for which TOTP secrets are sealed. */
export const SEALED_FOR = 'totp';
/** The condition for a second factor that is in use. */
export const CONFIRMED = { confirmedAt: { not: null } };

export function createVerification({ db, clock, secrets, rateLimiter, knownLocations, recoveryCodes }: Deps) {
  return { verify };

  /**
   * Verifies an authenticator code or a recovery code and marks it as used. Returns the `amr`
   * values (RFC 8176), or undefined if the code is wrong or was used before. Throws `AppError`
   * `auth_rate_limited`. Require the password or a session first.
   */
  async function verify(account: Account, otp: string, meta: RequestMeta): Promise<string[] | undefined> {
    const code = normalizeCode(otp);
    const isValid = isTotp(code)
      ? await withAttempt(CODE_ATTEMPTS, await attemptKey(account, meta), () => verifyTotp(account, code))
      : await withAttempt([RECOVERY_CODE_ATTEMPTS], `${account.id}:${rateLimitKey(meta.address)}`, () =>
          recoveryCodes.consume(account, code, meta),
        );
    return isValid ? ['otp'] : undefined;
  }

  /** Counts an attempt before the code is verified, so that concurrent guesses are counted too. */
  async function withAttempt(limits: Limit[], key: string, verify: () => Promise<boolean>): Promise<boolean> {
    for (const limit of limits) await rateLimiter.consume(limit, key);
    const isValid = await verify();
    if (isValid) for (const limit of limits) await rateLimiter.reset(limit, key);
    return isValid;
  }

  /**
   * Returns the rate limit key: account and location if the account signed in from there since the
   * second factor was set up, otherwise the account alone. Earlier sessions do not count, because a
   * password alone was enough for them.
   */
  async function attemptKey({ id: accountId }: Account, meta: RequestMeta): Promise<string> {
    const factor = await db.totpFactor.findFirst({
      where: { accountId, ...CONFIRMED },
      select: { confirmedAt: true },
    });
    const location = factor?.confirmedAt ? await knownLocations.find(accountId, meta, factor.confirmedAt) : undefined;
    return location ? `${accountId}:${location}` : accountId;
  }

  async function verifyTotp({ id: accountId }: Account, code: string): Promise<boolean> {
    const factor = await db.totpFactor.findFirst({ where: { accountId, ...CONFIRMED } });
    if (!factor) return false;
    const secret = await secrets.open(SEALED_FOR, factor.sealedSecret);
    const step = stepOf(code, secret, clock.now());
    if (step === undefined) return false;
    // RFC 6238, section 5.2: a code is accepted once, and no older one after it. Resealing keeps
    // the secret readable when SECRET is rotated.
    const { count } = await db.totpFactor.updateMany({
      where: { accountId, confirmedAt: factor.confirmedAt, lastStep: { lt: step } },
      data: { lastStep: step, sealedSecret: await secrets.seal(SEALED_FOR, secret) },
    });
    return count === 1;
  }
}

/** Removes spaces and hyphens, and converts full-width digits. */
export const normalizeCode = (otp: string) => otp.normalize('NFKC').replace(/[\s-]/g, '');
