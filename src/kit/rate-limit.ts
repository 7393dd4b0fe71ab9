/** Rate limits for users, agents and anonymous callers, in fixed windows. */
import { type AuthError, authError } from './auth-error.js';
import type { AuthContext } from './context.js';
import { parseDurationOrThrow } from './duration.js';

export interface RateLimit {
  requests: number;
  window: string;
}

export interface RateLimitConfig {
  default: RateLimit;
  perAuthType?: Partial<Record<AuthContext['type'], RateLimit>>;
  /** Whether each agent has its own limit (default), or all agents share one. */
  perAgent?: boolean;
}

/**
 * Counts requests. If a service runs as several processes, implement it on Redis: `INCR`, then
 * `PEXPIRE` for the first request.
 */
export interface RateLimitStore {
  /** Counts one request in the current window of this key. Opens a window if no window is open. */
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
  /** For every response: `RateLimit-*`, and `Retry-After` when the limit is exceeded. */
  headers: Record<string, string>;
  /** The error to respond with when the limit is exceeded. */
  error?: AuthError;
}

export interface RateLimiter extends RateLimitConfig {
  /**
   * Counts a request. `from` distinguishes anonymous callers, for example by IP address; without it
   * they share one limit.
   */
  check(auth: AuthContext, from?: string): Promise<RateLimitResult>;
}

const MAX_KEYS = 10_000;

/**
 * Creates a limiter, which is also its own configuration. Throws a TypeError for invalid limits.
 */
export function defineRateLimit(
  config: RateLimitConfig,
  { store = createMemoryRateLimitStore(), now = Date.now }: { store?: RateLimitStore; now?: () => number } = {},
): RateLimiter {
  const { perAuthType = {}, perAgent = true } = config;
  const limits = new Map(Object.entries(perAuthType).map(([type, limit]) => [type, parseLimit(type, limit)]));
  const defaultLimit = parseLimit('default', config.default);

  return { ...config, check };

  async function check(auth: AuthContext, from = ''): Promise<RateLimitResult> {
    const { requests: limit, windowSeconds } = limits.get(auth.type) ?? defaultLimit;
    const { count, endsAt } = await store.hit(`${auth.type}:${keyOf(auth, from)}`, windowSeconds);
    const resetSeconds = Math.max(0, Math.ceil((endsAt.getTime() - now()) / 1000));
    const [allowed, remaining] = [count <= limit, Math.max(0, limit - count)];
    const headers = {
      'RateLimit-Limit': String(limit),
      'RateLimit-Remaining': String(remaining),
      'RateLimit-Reset': String(resetSeconds),
    };
    const result = { allowed, limit, remaining, resetSeconds };
    if (allowed) return { ...result, headers };
    const retryHeaders = { ...headers, 'Retry-After': String(Math.max(1, resetSeconds)) };
    return {
      ...result,
      headers: retryHeaders,
      error: authError(429, 'rate_limited', 'Too many requests.', retryHeaders),
    };
  }

  function keyOf(auth: AuthContext, from: string): string {
    if (auth.type === 'human') return auth.userId;
    if (auth.type === 'agent') return perAgent ? auth.agentId : '';
    return from;
  }
}

/** Counts in memory, for one process. Evicts the least recently used keys when it is full. */
export function createMemoryRateLimitStore({ maxKeys = MAX_KEYS, now = Date.now } = {}): RateLimitStore {
  const windows = new Map<string, { count: number; endsAt: number }>();

  return {
    hit(key, windowSeconds) {
      const openWindow = windows.get(key);
      const window =
        openWindow && openWindow.endsAt > now() ? openWindow : { count: 0, endsAt: now() + windowSeconds * 1000 };
      window.count += 1;
      windows.delete(key); // re-inserted last: a Map keeps the order of insertion
      windows.set(key, window);
      if (windows.size > maxKeys) windows.delete(windows.keys().next().value!);
      return { count: window.count, endsAt: new Date(window.endsAt) };
    },
  };
}

function parseLimit(name: string, { requests, window }: RateLimit) {
  if (!Number.isInteger(requests) || requests < 1) throw new TypeError(`${name}.requests is ${requests}`);
  return { requests, windowSeconds: parseDurationOrThrow(`${name}.window`, window) };
}
