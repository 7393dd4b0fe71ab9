/** Attempts to sign in: how many there may be, from where, and the trail of those that failed. */

import { Refusal } from '../../base/app-error.js';
import { type Clock, DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import { addressKey } from '../../base/ip-address.js';
import type { Limit, Limits } from '../../base/rate-limiter.js';
import type { Account } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Caller } from '../request-meta.js';
import type { Places } from '../sessions/known-locations.js';

interface Needs {
  clock: Clock;
  limits: Limits;
  places: Places;
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
/** Guesses at one account from all places from which nobody ever signed in to it. Its owner comes from another one. */
const BY_ACCOUNT: Limit = { name: 'sign-in-account', points: 100, seconds: HOUR_SECONDS, code: CODE };
/** Once an account is under attack, somebody who was never here may still try, a little: it may be its owner elsewhere. */
const UNDER_ATTACK: Limit = { name: 'sign-in-under-attack', points: 3, seconds: HOUR_SECONDS, code: CODE };
const NOTE_AGAIN_AFTER_MS = MINUTE_SECONDS * SECOND_MS;
const MAX_NOTED = 10_000;

/** One attempt, and what it was counted under. */
export interface Attempt {
  pair: string;
  counted: { limit: Limit; key: string }[];
}

export type Attempts = ReturnType<typeof createAttempts>;

export function createAttempts({ clock, limits, places, audit }: Needs) {
  const noted = new Map<string, number>();

  return { spend, takeBack, forgive, forgiveGuesses, noteRefusal, noteFailure };

  /** Counted before the password is looked at, so that many guesses at once are counted too. */
  async function spend(login: string, account: Account | null, caller: Caller): Promise<Attempt> {
    const keys = keysFor(login, caller);
    const counted: Attempt['counted'] = [];
    const count = async (limit: Limit, key: string) => {
      await limits.spend(limit, key);
      counted.push({ limit, key });
    };
    try {
      // The address first: whoever invents addresses of others makes no counters for them.
      for (const limit of BY_ADDRESS) await count(limit, keys.address);
      for (const limit of BY_PAIR) await count(limit, keys.pair);
      if (!(await limits.isSpent(BY_ACCOUNT, keys.account))) await count(BY_ACCOUNT, keys.account);
      else if (!(await isFamiliar(account, caller))) await count(UNDER_ATTACK, keys.pair);
    } catch (error) {
      if (isRateLimit(error)) noteRefusal(account, caller);
      throw error;
    }
    return { pair: keys.pair, counted };
  }

  /** It was no guess after all: nobody could look at the password, or it was right and something else is asked for first. */
  async function takeBack({ counted }: Attempt): Promise<void> {
    for (const { limit, key } of counted) await limits.refund(limit, key);
  }

  /** Everything was right: takes this attempt back, and forgets the guesses before it. */
  async function forgive({ pair, counted }: Attempt): Promise<void> {
    await takeBack({ pair, counted: counted.filter(({ key }) => key !== pair) });
    await forget(pair);
  }

  /** The same for somebody whose attempt was taken back when it was right so far. */
  async function forgiveGuesses(login: string, caller: Caller): Promise<void> {
    await forget(keysFor(login, caller).pair);
  }

  async function forget(pair: string): Promise<void> {
    for (const limit of [...BY_PAIR, UNDER_ATTACK]) await limits.reset(limit, pair);
  }

  /** Once a minute for each source: somebody who is refused a thousand times a second does not fill the trail. */
  function noteRefusal(account: Account | null, caller: Caller): void {
    const now = clock.now().getTime();
    const from = addressKey(caller.address);
    if ((noted.get(from) ?? 0) > now - NOTE_AGAIN_AFTER_MS) return;
    if (noted.size >= MAX_NOTED) noted.clear();
    noted.set(from, now);
    noteFailure(account, 'rate_limited', caller);
  }

  async function isFamiliar(account: Account | null, caller: Caller): Promise<boolean> {
    return account !== null && (await places.find(account.id, caller)) !== undefined;
  }

  function noteFailure(account: Account | null, reason: string, caller: Caller): void {
    audit.recordSoon({
      action: 'sign_in.failed',
      actor: { kind: 'anonymous' },
      accountId: account?.id,
      caller,
      detail: { reason },
    });
  }
}

export const isRateLimit = (error: unknown) => error instanceof Refusal && error.status === 429;

/** By what attempts are counted. The login is the e-mail address as it is compared. */
function keysFor(login: string, { address }: Caller) {
  const account = sha256(login);
  const from = addressKey(address);
  return { pair: `${account}:${from}`, address: from, account };
}
