/** Attempts to sign in: how many there may be, from where, and the trail of those that failed. */

import { AppError } from '../../base/app-error.js';
import { type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Account } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import type { KnownLocations } from '../sessions/known-locations.js';

interface Deps {
  clock: Clock;
  rateLimiter: RateLimiter;
  knownLocations: KnownLocations;
  audit: Audit;
}

const CODE = 'auth_rate_limited';
/** Guesses at one account from one address: whoever goes on after a delay meets a longer one. */
const BY_PAIR: Limit[] = [
  { name: 'sign-in-pair', points: 10, seconds: 15 * MINUTE_SECONDS, code: CODE },
  { name: 'sign-in-pair-hours', points: 20, seconds: 3 * HOUR_SECONDS, code: CODE },
  { name: 'sign-in-pair-day', points: 40, seconds: DAY_SECONDS, code: CODE },
];
/** Guesses from one address, at whatever account: many people may stand behind it. */
const BY_ADDRESS: Limit[] = [
  { name: 'sign-in-address', points: 100, seconds: 15 * MINUTE_SECONDS, code: CODE },
  { name: 'sign-in-address-hours', points: 300, seconds: 3 * HOUR_SECONDS, code: CODE },
  { name: 'sign-in-address-day', points: 1000, seconds: DAY_SECONDS, code: CODE },
];
/**
 * Guesses at one account from all places from which nobody ever signed in to it. Its owner comes
 * from another one.
 */
const BY_ACCOUNT: Limit = { name: 'sign-in-account', points: 100, seconds: HOUR_SECONDS, code: CODE };
/**
 * Once an account is under attack, somebody who was never here may still try, a little: it may be
 * its owner elsewhere.
 */
const UNDER_ATTACK: Limit = { name: 'sign-in-under-attack', points: 3, seconds: HOUR_SECONDS, code: CODE };
const AUDIT_INTERVAL_MS = MINUTE_SECONDS * SECOND_MS;
const MAX_AUDITED = 10_000;

/** One attempt, and what it was counted under. */
export interface Attempt {
  pair: string;
  counted: { limit: Limit; key: string }[];
}

export type BruteForceProtection = ReturnType<typeof createBruteForceProtection>;

export function createBruteForceProtection({ clock, rateLimiter, knownLocations, audit }: Deps) {
  const noted = new Map<string, number>();

  return { consume, refund, reset, resetFor, auditThrottled, auditFailure };

  /** Counted before the password is looked at, so that many guesses at once are counted too. */
  async function consume(login: string, account: Account | null, meta: RequestMeta): Promise<Attempt> {
    const keys = keysFor(login, meta);
    const counted: Attempt['counted'] = [];
    const count = async (limit: Limit, key: string) => {
      await rateLimiter.consume(limit, key);
      counted.push({ limit, key });
    };
    try {
      // The address first: whoever invents addresses of others makes no counters for them.
      for (const limit of BY_ADDRESS) await count(limit, keys.address);
      for (const limit of BY_PAIR) await count(limit, keys.pair);
      if (!(await rateLimiter.isExceeded(BY_ACCOUNT, keys.account))) await count(BY_ACCOUNT, keys.account);
      else if (!(await isKnownLocation(account, meta))) await count(UNDER_ATTACK, keys.pair);
    } catch (error) {
      if (isRateLimit(error)) auditThrottled(account, meta);
      throw error;
    }
    return { pair: keys.pair, counted };
  }

  /**
   * It was no guess after all: nobody could look at the password, or it was right and something
   * else is asked for first.
   */
  async function refund({ counted }: Attempt): Promise<void> {
    for (const { limit, key } of counted) await rateLimiter.refund(limit, key);
  }

  /** Everything was right: takes this attempt back, and forgets the guesses before it. */
  async function reset({ pair, counted }: Attempt): Promise<void> {
    await refund({ pair, counted: counted.filter(({ key }) => key !== pair) });
    await forget(pair);
  }

  /** The same for somebody whose attempt was taken back when it was right so far. */
  async function resetFor(login: string, meta: RequestMeta): Promise<void> {
    await forget(keysFor(login, meta).pair);
  }

  async function forget(pair: string): Promise<void> {
    for (const limit of [...BY_PAIR, UNDER_ATTACK]) await rateLimiter.reset(limit, pair);
  }

  /**
   * Once a minute for each source: somebody who is refused a thousand times a second does not fill
   * the trail.
   */
  function auditThrottled(account: Account | null, meta: RequestMeta): void {
    const now = clock.now().getTime();
    const from = rateLimitKey(meta.address);
    if ((noted.get(from) ?? 0) > now - AUDIT_INTERVAL_MS) return;
    if (noted.size >= MAX_AUDITED) noted.clear();
    noted.set(from, now);
    auditFailure(account, 'rate_limited', meta);
  }

  async function isKnownLocation(account: Account | null, meta: RequestMeta): Promise<boolean> {
    return account !== null && (await knownLocations.find(account.id, meta)) !== undefined;
  }

  function auditFailure(account: Account | null, reason: string, meta: RequestMeta): void {
    audit.recordSoon({
      action: 'sign_in.failed',
      actor: { kind: 'anonymous' },
      accountId: account?.id,
      meta,
      detail: { reason },
    });
  }
}

export const isRateLimit = (error: unknown) => error instanceof AppError && error.status === 429;

/** By what attempts are counted. The login is the e-mail address as it is compared. */
function keysFor(login: string, { address }: RequestMeta) {
  const account = sha256(login);
  const from = rateLimitKey(address);
  return { pair: `${account}:${from}`, address: from, account };
}
