/** How many requests are taken of whom: by kind of principal, in fixed windows. */

import { type AuthError, refusal } from './auth-error.js';
import type { AuthContext } from './context.js';
import { parseDurationOrThrow } from './duration.js';

export interface RateLimit {
  requests: number;
  window: string;
}

export interface RateLimitConfig {
  default: RateLimit;
  perAuthType?: Partial<Record<AuthContext['type'], RateLimit>>;
  /** Count each agent by itself (the default), or all agents together. */
  perAgent?: boolean;
}

/**
 * Counts. Put one on Redis (`INCR`, then `PEXPIRE` for the first) where a service has several
 * processes.
 */
export interface RateLimitStore {
  /** Counts one more in the window that is open for this key, or opens one. */
  hit(key: string, windowSeconds: number): Count | Promise<Count>;
}

export interface Count {
  count: number;
  endsAt: Date;
}

export interface RateLimitResult {
  allowed: boolean;
  limit: number;
  remaining: number;
  resetSeconds: number;
  /** For every answer: `RateLimit-*`, and `Retry-After` when it was too much. */
  headers: Record<string, string>;
  /** What to answer when it was too much. */
  refusal?: AuthError;
}

export interface RateLimiter extends RateLimitConfig {
  /**
   * Counts a request. Strangers are told apart by what the caller knows of them, their address for
   * example; else all are one.
   */
  check(auth: AuthContext, from?: string): Promise<RateLimitResult>;
}

const MAX_KEYS = 10_000;

/** A limiter that is also its own configuration. Throws a TypeError for limits that are none. */
export function defineRateLimit(
  config: RateLimitConfig,
  { store = createMemoryRateLimitStore(), now = Date.now }: { store?: RateLimitStore; now?: () => number } = {},
): RateLimiter {
  const { perAuthType = {}, perAgent = true } = config;
  const rateLimiter = { default: settle('default', config.default) } as Record<
    string,
    { points: number; seconds: number }
  >;
  for (const [type, limit] of Object.entries(perAuthType)) rateLimiter[type] = settle(type, limit);

  return { ...config, check };

  async function check(auth: AuthContext, from = ''): Promise<RateLimitResult> {
    const { points, seconds } = rateLimiter[auth.type] ?? rateLimiter.default!;
    const { count, endsAt } = await store.hit(`${auth.type}:${whoOf(auth, from)}`, seconds);
    const resetSeconds = Math.max(0, Math.ceil((endsAt.getTime() - now()) / 1000));
    const [allowed, remaining] = [count <= points, Math.max(0, points - count)];
    const headers = {
      'RateLimit-Limit': String(points),
      'RateLimit-Remaining': String(remaining),
      'RateLimit-Reset': String(resetSeconds),
    };
    const result = { allowed, limit: points, remaining, resetSeconds };
    if (allowed) return { ...result, headers };
    const withRetry = { ...headers, 'Retry-After': String(Math.max(1, resetSeconds)) };
    return { ...result, headers: withRetry, refusal: refusal(429, 'rate_limited', 'Too many requests.', withRetry) };
  }

  function whoOf(auth: AuthContext, from: string): string {
    if (auth.type === 'human') return auth.userId;
    if (auth.type === 'agent') return perAgent ? auth.agentId : '';
    return from;
  }
}

/**
 * For one process. When there are too many keys, those that were counted least lately are
 * forgotten.
 */
export function createMemoryRateLimitStore({ maxKeys = MAX_KEYS, now = Date.now } = {}): RateLimitStore {
  const windows = new Map<string, { count: number; endsAt: number }>();

  return {
    hit(key, windowSeconds) {
      const open = windows.get(key);
      const window = open && open.endsAt > now() ? open : { count: 0, endsAt: now() + windowSeconds * 1000 };
      window.count += 1;
      windows.delete(key); // so that it stands last
      windows.set(key, window);
      if (windows.size > maxKeys) windows.delete(windows.keys().next().value!);
      return { count: window.count, endsAt: new Date(window.endsAt) };
    },
  };
}

function settle(name: string, { requests, window }: RateLimit) {
  if (!Number.isInteger(requests) || requests < 1) throw new TypeError(`${name}.requests is ${requests}`);
  return { points: requests, seconds: parseDurationOrThrow(`${name}.window`, window) };
}
