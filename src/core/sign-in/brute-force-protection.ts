/**
 * Limits password guessing by account and IP address, and audits failed attempts. While an account
 * is under attack, known locations are exempt from the limit of the account.
 */

import { AppError } from '../../base/app-error.js';
import { type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Account } from '../accounts/accounts.js';
import { ANONYMOUS, type Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import type { KnownLocations } from '../sessions/known-locations.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  knownLocations: KnownLocations;
  audit: Audit;
}

const ERROR_CODE = 'auth_rate_limited';
/**
 * Limits attempts at one account from one address. Longer windows allow fewer attempts per hour.
 */
const BY_PAIR: Limit[] = [
  { name: 'sign-in-pair', points: 10, seconds: 15 * MINUTE_SECONDS, code: ERROR_CODE },
  { name: 'sign-in-pair-hours', points: 20, seconds: 3 * HOUR_SECONDS, code: ERROR_CODE },
  { name: 'sign-in-pair-day', points: 40, seconds: DAY_SECONDS, code: ERROR_CODE },
];
/** Limits attempts at all accounts from one address, which many users can share. */
const BY_ADDRESS: Limit[] = [
  { name: 'sign-in-address', points: 100, seconds: 15 * MINUTE_SECONDS, code: ERROR_CODE },
  { name: 'sign-in-address-hours', points: 300, seconds: 3 * HOUR_SECONDS, code: ERROR_CODE },
  { name: 'sign-in-address-day', points: 1000, seconds: DAY_SECONDS, code: ERROR_CODE },
];
/**
 * Limits attempts at one account from all addresses together. Above this limit, the account is
 * under attack.
 */
const BY_ACCOUNT: Limit = { name: 'sign-in-account', points: 100, seconds: HOUR_SECONDS, code: ERROR_CODE };
/**
 * Limits attempts from each unknown address while the account is under attack. It is not zero,
 * because the user can be traveling.
 */
const UNDER_ATTACK: Limit = { name: 'sign-in-under-attack', points: 3, seconds: HOUR_SECONDS, code: ERROR_CODE };
const AUDIT_INTERVAL_MS = MINUTE_SECONDS * SECOND_MS;
const MAX_AUDITED_ADDRESSES = 10_000;

/** A counted attempt, with the counters that it consumed. */
export interface Attempt {
  /** The key of the counters for this account and this address. */
  pair: string;
  consumed: { limit: Limit; key: string }[];
}

export type BruteForceProtection = ReturnType<typeof createBruteForceProtection>;

export function createBruteForceProtection({ clock, rateLimiter, knownLocations, audit }: Deps) {
  /** The time of the last audited rejection by IP address, in milliseconds. */
  const lastAuditedAt = new Map<string, number>();

  return { consume, refund, reset, resetFor, auditThrottled, auditFailure };

  /**
   * Counts an attempt. Call it before the password is verified, so that concurrent guesses are
   * counted as well. Throws `AppError` `auth_rate_limited` if a limit is exceeded.
   *
   * @param email the normalized e-mail address
   */
  async function consume(email: string, account: Account | null, meta: RequestMeta): Promise<Attempt> {
    const keys = keysFor(email, meta);
    const consumed: Attempt['consumed'] = [];
    const consumeLimit = async (limit: Limit, key: string) => {
      await rateLimiter.consume(limit, key);
      consumed.push({ limit, key });
    };
    try {
      // The IP address comes first, so that a rejected attacker creates no counters for accounts.
      for (const limit of BY_ADDRESS) await consumeLimit(limit, keys.address);
      for (const limit of BY_PAIR) await consumeLimit(limit, keys.pair);
      if (!(await rateLimiter.isExceeded(BY_ACCOUNT, keys.account))) await consumeLimit(BY_ACCOUNT, keys.account);
      else if (!(await isKnownLocation(account, meta))) await consumeLimit(UNDER_ATTACK, keys.pair);
    } catch (error) {
      if (isRateLimit(error)) auditThrottled(account, meta);
      throw error;
    }
    return { pair: keys.pair, consumed };
  }

  /**
   * Refunds an attempt that was not a guess: the password was never checked, or it was right and a
   * second factor is pending.
   */
  async function refund({ consumed }: Attempt): Promise<void> {
    for (const { limit, key } of consumed) await rateLimiter.refund(limit, key);
  }

  /** Refunds a successful attempt and resets the counters of its account and address. */
  async function reset({ pair, consumed }: Attempt): Promise<void> {
    await refund({ pair, consumed: consumed.filter(({ key }) => key !== pair) });
    await resetPair(pair);
  }

  /**
   * Resets the counters after the second factor, when the attempt itself was already refunded.
   *
   * @param email the normalized e-mail address
   */
  async function resetFor(email: string, meta: RequestMeta): Promise<void> {
    await resetPair(keysFor(email, meta).pair);
  }

  async function resetPair(pair: string): Promise<void> {
    for (const limit of [...BY_PAIR, UNDER_ATTACK]) await rateLimiter.reset(limit, pair);
  }

  /**
   * Audits a rejected attempt, at most once a minute for each address, so that an attack cannot
   * fill the audit log.
   */
  function auditThrottled(account: Account | null, meta: RequestMeta): void {
    const now = clock.now().getTime();
    const addressKey = rateLimitKey(meta.address);
    if ((lastAuditedAt.get(addressKey) ?? 0) > now - AUDIT_INTERVAL_MS) return;
    if (lastAuditedAt.size >= MAX_AUDITED_ADDRESSES) lastAuditedAt.clear();
    lastAuditedAt.set(addressKey, now);
    auditFailure(account, 'rate_limited', meta);
  }

  async function isKnownLocation(account: Account | null, meta: RequestMeta): Promise<boolean> {
    return account !== null && (await knownLocations.find(account.id, meta)) !== undefined;
  }

  /** Audits a failed sign-in. `account` is null if it is unknown. */
  function auditFailure(account: Account | null, reason: string, meta: RequestMeta): void {
    audit.recordSoon('sign_in.failed', { by: ANONYMOUS, accountId: account?.id, meta, detail: { reason } });
  }
}

/** Reports whether the error is an exceeded rate limit, ours or that of an upstream provider. */
export const isRateLimit = (error: unknown) => error instanceof AppError && error.status === 429;

/** Returns the counter keys of an attempt. `email` is the normalized e-mail address. */
function keysFor(email: string, { address }: RequestMeta) {
  const accountKey = sha256(email);
  const addressKey = rateLimitKey(address);
  return { pair: `${accountKey}:${addressKey}`, address: addressKey, account: accountKey };
}
