/**
 * A rate limit for thousands of events per minute. Each process reserves events in batches from the
 * shared counter, so most events need no request to the store. The limit is never exceeded, but it
 * can be reached early: no other process can use the events that a process reserved.
 */

import { AppError, type LimitState, rateLimited } from './app-error.js';
import { SECOND_MS } from './clock.js';
import type { Limit, RateLimiter } from './rate-limiter.js';

/** The events that this process has reserved for one key. */
interface Reservation {
  /** Reserved events that are not used yet. */
  unused: number;
  /** Events that no process has reserved yet. */
  unreserved: number;
  /** The end of the window, on the clock of `performance.now()`. */
  windowEndsAtMs: number;
  /** The reservation of the next batch, while it is in progress. */
  pendingBatch: Promise<void> | undefined;
  /** Whether the limit is exceeded until the window ends. */
  isExhausted: boolean;
}

/** A batch is the share of one second, if the window is one minute. */
const BATCHES_PER_WINDOW = 60;
const MAX_RESERVATIONS = 10_000;

/** Creates a rate limit that counts in the shared store of `rateLimiter`. */
export function createBatchedRateLimit({
  rateLimiter,
  limit,
}: {
  rateLimiter: Pick<RateLimiter, 'consume'>;
  limit: Limit;
}) {
  const batchSize = Math.max(1, Math.floor(limit.points / BATCHES_PER_WINDOW));
  const reservations = new Map<string, Reservation>();

  return { consume };

  /** Consumes an event, like `rateLimiter.consume`. */
  async function consume(key: string): Promise<LimitState> {
    const reservation = reservationFor(key);
    while (reservation.unused === 0) {
      if (reservation.isExhausted) throw rateLimited(stateOf(reservation), limit);
      reservation.pendingBatch ??= reserveBatch(key, reservation).finally(() => {
        reservation.pendingBatch = undefined;
      });
      await reservation.pendingBatch;
    }
    reservation.unused -= 1;
    return stateOf(reservation);
  }

  function reservationFor(key: string): Reservation {
    const current = reservations.get(key);
    if (current && current.windowEndsAtMs > performance.now()) return current;
    if (reservations.size >= MAX_RESERVATIONS) reservations.clear(); // clients choose the keys
    const created: Reservation = {
      unused: 0,
      unreserved: 0,
      windowEndsAtMs: Number.POSITIVE_INFINITY,
      pendingBatch: undefined,
      isExhausted: false,
    };
    reservations.set(key, created);
    return created;
  }

  async function reserveBatch(key: string, reservation: Reservation): Promise<void> {
    try {
      const { remaining, resetSeconds } = await rateLimiter.consume(limit, key, batchSize);
      reservation.unused = batchSize;
      reservation.unreserved = remaining;
      reservation.windowEndsAtMs = performance.now() + resetSeconds * SECOND_MS;
    } catch (error) {
      if (!(error instanceof AppError) || !error.limit) throw error;
      reservation.isExhausted = true;
      reservation.windowEndsAtMs = performance.now() + error.limit.resetSeconds * SECOND_MS;
    }
  }

  function stateOf({ unused, unreserved, windowEndsAtMs }: Reservation): LimitState {
    const resetSeconds = Math.max(1, Math.ceil((windowEndsAtMs - performance.now()) / SECOND_MS));
    return { name: limit.name, limit: limit.points, remaining: unused + unreserved, resetSeconds };
  }
}
