/**
 * Limits password guessing by account and network, and audits failed attempts. A browser that has
 * signed in before has counters of its own, so that attackers cannot lock it out. While an
 * account is under attack, known addresses are exempt from the limit of the account.
 */

import { AppError } from '../../base/app-error.js';
import { type Clock, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import { networkKey, networkKeys, rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account } from '../accounts/accounts.js';
import { ANONYMOUS, type Audit } from '../audit/audit.js';
import type { KnownLocations } from '../sessions/known-locations.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  knownLocations: KnownLocations;
  audit: Audit;
}

/** Returns a limit in three windows. Longer windows allow fewer attempts per hour. */
const inWindows = (name: 'sign-in-device' | 'sign-in-pair' | 'sign-in-address'): Limit[] => [
  LIMITS[name],
  LIMITS[`${name}-hours`],
  LIMITS[`${name}-day`],
];

/** Limits attempts at one account from one browser that has signed in to it before. */
const BY_DEVICE = inWindows('sign-in-device');
/** Limits attempts at one account from one network: by IPv4 address, or IPv6 /64, /56 and /48. */
const BY_PAIR: Limit[][] = [inWindows('sign-in-pair'), [LIMITS['sign-in-pair-56']], [LIMITS['sign-in-pair-48']]];
/** Limits attempts at all accounts from one network, which many users can share. */
const BY_NETWORK: Limit[][] = [
  inWindows('sign-in-address'),
  [LIMITS['sign-in-address-56']],
  [LIMITS['sign-in-address-48']],
];
/**
 * Limits attempts at one account from all networks together, except from known devices. Above this
 * limit, the account is under attack.
 */
const BY_ACCOUNT = LIMITS['sign-in-account'];
/**
 * Limits attempts from each unknown network while the account is under attack. It is not zero,
 * because the user can be traveling.
 */
const UNDER_ATTACK = LIMITS['sign-in-under-attack'];
/** Limits attempts from all unknown networks together while the account is under attack. */
const ACCOUNT_CEILING = LIMITS['sign-in-ceiling'];
const AUDIT_INTERVAL_MS = MINUTE_SECONDS * SECOND_MS;
const MAX_AUDITED_ADDRESSES = 10_000;

interface Counter {
  limit: Limit;
  key: string;
}

/** A counted attempt, with the counters that it consumed. */
export interface Attempt {
  consumed: Counter[];
  /** The counters of this user's own device or network, which a success resets. */
  own: Counter[];
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
    const attempt: Attempt = { consumed: [], own: ownCounters(email, meta) };
    try {
      // Guesses from the same network do not count against a known device.
      if (account && (await knownLocations.isKnownDevice(account.id, meta))) {
        for (const counter of deviceCounters(email, meta)) await consumeCounter(counter, attempt);
      } else {
        // The network comes first, so that a rejected attacker creates no counters for accounts.
        for (const counter of countersOf(BY_NETWORK, networkKeys(meta.address))) await consumeCounter(counter, attempt);
        for (const counter of pairCounters(email, meta)) await consumeCounter(counter, attempt);
        await consumeByAccount(email, account, meta, attempt);
      }
    } catch (error) {
      if (isRateLimit(error)) auditThrottled(account, meta);
      throw error;
    }
    return attempt;
  }

  async function consumeByAccount(
    email: string,
    account: Account | null,
    meta: RequestMeta,
    attempt: Attempt,
  ): Promise<void> {
    const key = sha256(email);
    if (!(await rateLimiter.isExceeded(BY_ACCOUNT, key))) return consumeCounter({ limit: BY_ACCOUNT, key }, attempt);
    if (account !== null && (await knownLocations.find(account.id, meta)) !== undefined) return;
    await consumeCounter(underAttackCounter(email, meta), attempt);
    await consumeCounter({ limit: ACCOUNT_CEILING, key }, attempt);
  }

  async function consumeCounter(counter: Counter, { consumed }: Attempt): Promise<void> {
    await rateLimiter.consume(counter.limit, counter.key);
    consumed.push(counter);
  }

  /**
   * Refunds an attempt that was not a guess: the password was never checked, or it was right and a
   * second factor is pending.
   */
  async function refund({ consumed }: Pick<Attempt, 'consumed'>): Promise<void> {
    for (const { limit, key } of consumed) await rateLimiter.refund(limit, key);
  }

  /** Refunds a successful attempt and resets the counters of its device or network. */
  async function reset({ consumed, own }: Attempt): Promise<void> {
    await refund({ consumed: consumed.filter(({ limit }) => !own.some((counter) => counter.limit === limit)) });
    for (const { limit, key } of own) await rateLimiter.reset(limit, key);
  }

  /**
   * Resets the counters after the second factor, when the attempt itself was already refunded.
   *
   * @param email the normalized e-mail address
   */
  async function resetFor(email: string, meta: RequestMeta): Promise<void> {
    for (const { limit, key } of ownCounters(email, meta)) await rateLimiter.reset(limit, key);
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

  /** Audits a failed sign-in. `account` is null if it is unknown. */
  function auditFailure(account: Account | null, reason: string, meta: RequestMeta): void {
    audit.recordSoon('sign_in.failed', { by: ANONYMOUS, accountId: account?.id, meta, detail: { reason } });
  }
}

/** Reports whether the error is an exceeded rate limit, ours or that of an upstream provider. */
export const isRateLimit = (error: unknown) => error instanceof AppError && error.status === 429;

const ownCounters = (email: string, meta: RequestMeta): Counter[] => [
  ...deviceCounters(email, meta),
  ...pairCounters(email, meta),
  underAttackCounter(email, meta),
];

const deviceCounters = (email: string, { device }: RequestMeta): Counter[] =>
  device === undefined ? [] : countersOf([BY_DEVICE], [sha256(`${email} ${device}`)]);

const pairCounters = (email: string, { address }: RequestMeta): Counter[] =>
  countersOf(
    BY_PAIR,
    networkKeys(address).map((key) => `${sha256(email)}:${key}`),
  );

const underAttackCounter = (email: string, { address }: RequestMeta): Counter => ({
  limit: UNDER_ATTACK,
  key: `${sha256(email)}:${networkKey(address)}`,
});

/** Returns the counters of the limits of each level with the key of that level. */
const countersOf = (limitsByLevel: Limit[][], keys: string[]): Counter[] =>
  keys.flatMap((key, level) => (limitsByLevel[level] ?? []).map((limit) => ({ limit, key })));
