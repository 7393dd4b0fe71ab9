/**
 * A cache for values that are read often and can be at most about a second old. lru-cache would not
 * cover the rule below: a load that started before an invalidation is not stored.
 */
import type { Clock } from './clock.js';

interface Options {
  clock: Clock;
  /** Maximum age of an entry. */
  maxAgeMs?: number;
  maxEntries?: number;
}

const MAX_AGE_MS = 1000;
const MAX_ENTRIES = 10_000;

export function createTtlCache<Value>({ clock, maxAgeMs = MAX_AGE_MS, maxEntries = MAX_ENTRIES }: Options) {
  const entries = new Map<string, { value: Value; until: number }>();
  let generation = 0;

  return { getOrLoad, invalidate };

  /** Returns the value, cached or from `load`. Undefined values are not cached. */
  async function getOrLoad(key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const known = entries.get(key);
    if (known && known.until > clock.now().getTime()) return known.value;
    const begun = generation;
    const value = await load();
    entries.delete(key);
    // What was read before something was forgotten may be what had to be forgotten.
    if (value === undefined || begun !== generation) return value;
    const oldest = entries.size >= maxEntries ? entries.keys().next().value : undefined;
    if (oldest !== undefined) entries.delete(oldest);
    entries.set(key, { value, until: clock.now().getTime() + maxAgeMs });
    return value;
  }

  /** Removes one entry, or all if it is not known which one changed. */
  function invalidate(key?: string): void {
    generation += 1;
    if (key === undefined) entries.clear();
    else entries.delete(key);
  }
}
