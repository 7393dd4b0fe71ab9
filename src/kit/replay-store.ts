/** Remembers the ids of single-use tokens and proofs until they expire, to detect replays. */

/**
 * For a service with several processes, implement this interface on Redis: `SET key 1 NX PXAT …`.
 */
export interface ReplayStore {
  /**
   * Atomically marks an id as used until a time. Returns false if it was used before, or cannot be
   * stored.
   */
  firstUse(id: string, until: Date): boolean | Promise<boolean>;
}

const MAX_ENTRIES = 100_000;

/**
 * Stores ids in memory, for one process. When it is full, it rejects new ids, because evicting an
 * id would allow its reuse.
 */
export function createMemoryReplayStore({ maxEntries = MAX_ENTRIES, now = Date.now } = {}): ReplayStore {
  const used = new Map<string, number>();

  return {
    firstUse(id, until) {
      if (used.has(id)) return false;
      if (used.size >= maxEntries) removeExpired();
      if (used.size >= maxEntries) return false;
      used.set(id, until.getTime());
      return true;
    },
  };

  function removeExpired(): void {
    for (const [id, until] of used) if (until < now()) used.delete(id);
  }
}
