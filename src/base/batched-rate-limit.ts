/**
 * A rate limit for thousands of events a minute. It reserves events in batches from the shared
 * counters, so most events need no store. The limit is never exceeded; events that a process
 * reserved and does not use are lost to the others.
 */

import { AppError, type LimitState, rateLimited } from './app-error.js';
import { SECOND_MS } from './clock.js';
import type { Limit, RateLimiter } from './rate-limiter.js';

/** The events that this process has reserved for one key. */
interface Reservation {
  left: number;
  /** Left for all other processes. */
  remaining: number;
  endsAt: number;
  reserving: Promise<void> | undefined;
  /** Whether the limit is exceeded until `endsAt`. */
  isExhausted: boolean;
}

/** A batch of a limit per minute is what one second needs. */
const BATCHES = 60;
const MAX_RESERVATIONS = 10_000;

export function createBatchedRateLimit({
  rateLimiter,
  limit,
}: {
  rateLimiter: Pick<RateLimiter, 'consume'>;
  limit: Limit;
}) {
  const batch = Math.max(1, Math.floor(limit.points / BATCHES));
  const reservations = new Map<string, Reservation>();

  return { consume };

  /** Consumes an event, like `rateLimiter.consume`. */
  async function consume(key: string): Promise<LimitState> {
    const reservation = reservationFor(key);
    while (reservation.left === 0) {
      if (reservation.isExhausted) throw rateLimited(stateOf(reservation), limit.code);
      reservation.reserving ??= reserve(key, reservation).finally(() => {
        reservation.reserving = undefined;
      });
      await reservation.reserving;
    }
    reservation.left -= 1;
    return stateOf(reservation);
  }

  function reservationFor(key: string): Reservation {
    const known = reservations.get(key);
    if (known && known.endsAt > performance.now()) return known;
    if (reservations.size >= MAX_RESERVATIONS) reservations.clear(); // clients choose the keys
    const fresh = { left: 0, remaining: 0, endsAt: Number.POSITIVE_INFINITY, reserving: undefined, isExhausted: false };
    reservations.set(key, fresh);
    return fresh;
  }

  async function reserve(key: string, reservation: Reservation): Promise<void> {
    try {
      const { remaining, resetSeconds } = await rateLimiter.consume(limit, key, batch);
      Object.assign(reservation, { left: batch, remaining, endsAt: performance.now() + resetSeconds * SECOND_MS });
    } catch (error) {
      if (!(error instanceof AppError) || !error.limit) throw error;
      Object.assign(reservation, {
        isExhausted: true,
        endsAt: performance.now() + error.limit.resetSeconds * SECOND_MS,
      });
    }
  }

  function stateOf({ left, remaining, endsAt }: Reservation): LimitState {
    const resetSeconds = Math.max(1, Math.ceil((endsAt - performance.now()) / SECOND_MS));
    return { limit: limit.points, remaining: left + remaining, resetSeconds };
  }
}
