/**
 * A limit on what comes thousands of times a minute. Events are taken from the shared counters by the batch and counted here, so that
 * most of them ask no store. Nobody gets more than the limit; what a process has taken and does not use is lost to the others.
 */

import { type LimitState, Refusal, rateLimited } from './app-error.js';
import { SECOND_MS } from './clock.js';
import type { Limit, Limits } from './rate-limiter.js';

/** What this process has taken for one key. */
interface Share {
  left: number;
  /** Left to all others. */
  remaining: number;
  endsAt: number;
  taking: Promise<void> | undefined;
  /** Nothing is left until then. */
  isSpent: boolean;
}

/** A sixtieth of a minute's points is a second's worth. */
const BATCHES = 60;
const MAX_SHARES = 10_000;

export function createAllowance({ limits, limit }: { limits: Pick<Limits, 'spend'>; limit: Limit }) {
  const batch = Math.max(1, Math.floor(limit.points / BATCHES));
  const shares = new Map<string, Share>();

  return { spend };

  /** As `limits.spend`. */
  async function spend(key: string): Promise<LimitState> {
    const share = shareOf(key);
    while (share.left === 0) {
      if (share.isSpent) throw rateLimited(stateOf(share), limit.code);
      share.taking ??= take(key, share).finally(() => {
        share.taking = undefined;
      });
      await share.taking;
    }
    share.left -= 1;
    return stateOf(share);
  }

  function shareOf(key: string): Share {
    const known = shares.get(key);
    if (known && known.endsAt > performance.now()) return known;
    if (shares.size >= MAX_SHARES) shares.clear(); // strangers choose what stands here
    const fresh = { left: 0, remaining: 0, endsAt: Number.POSITIVE_INFINITY, taking: undefined, isSpent: false };
    shares.set(key, fresh);
    return fresh;
  }

  async function take(key: string, share: Share): Promise<void> {
    try {
      const { remaining, resetSeconds } = await limits.spend(limit, key, batch);
      Object.assign(share, { left: batch, remaining, endsAt: performance.now() + resetSeconds * SECOND_MS });
    } catch (error) {
      if (!(error instanceof Refusal) || !error.limit) throw error;
      Object.assign(share, { isSpent: true, endsAt: performance.now() + error.limit.resetSeconds * SECOND_MS });
    }
  }

  function stateOf({ left, remaining, endsAt }: Share): LimitState {
    const resetSeconds = Math.max(1, Math.ceil((endsAt - performance.now()) / SECOND_MS));
    return { limit: limit.points, remaining: left + remaining, resetSeconds };
  }
}
