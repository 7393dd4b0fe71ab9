/**
 * Caches values that are read often and can be stale for about a second. lru-cache does not fit,
 * because it stores a value whose load started before an invalidation.
 */
import type { Clock } from './clock.js';

interface Options {
  clock: Clock;
  /** Default: one second. */
  maxAgeMs?: number;
  maxEntries?: number;
}

const MAX_AGE_MS = 1000;
const MAX_ENTRIES = 10_000;

/** Creates a cache that evicts the entry that was stored first. */
export function createTtlCache<Value>({ clock, maxAgeMs = MAX_AGE_MS, maxEntries = MAX_ENTRIES }: Options) {
  const entries = new Map<string, { value: Value; expiresAtMs: number }>();
  let generation = 0;

  return { getOrLoad, invalidate };

  /** Returns the cached value, or loads and caches it. Undefined is not cached. */
  async function getOrLoad(key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const cached = entries.get(key);
    if (cached && cached.expiresAtMs > clock.now().getTime()) return cached.value;
    const generationBefore = generation;
    const value = await load();
    entries.delete(key);
    // A value that was loaded before an invalidation can be stale, so it is not cached.
    if (value === undefined || generationBefore !== generation) return value;
    const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined;
    if (oldest !== undefined) entries.delete(oldest);
    entries.set(key, { value, expiresAtMs: clock.now().getTime() + maxAgeMs });
    return value;
  }

  /** Removes the entry of a key. Without a key, removes all entries. */
  function invalidate(key?: string): void {
    generation += 1;
    if (key === undefined) entries.clear();
    else entries.delete(key);
  }
}
