/** What may be used once, is remembered until it could not be used anyway. */

/** Put one on Redis (`SET key 1 NX PXAT …`) where a service has several processes. */
export interface ReplayStore {
  /**
   * Marks an id as used. False when it was already, or when it cannot be remembered. One atomic
   * step.
   */
  firstUse(id: string, until: Date): boolean | Promise<boolean>;
}

const MAX_ENTRIES = 100_000;

/**
 * For one process. When it is full of what still counts it says no: forgetting would let the
 * forgotten be used again.
 */
export function createMemoryReplayStore({ maxEntries = MAX_ENTRIES, now = Date.now } = {}): ReplayStore {
  const used = new Map<string, number>();

  return {
    firstUse(id, until) {
      if (used.has(id)) return false;
      if (used.size >= maxEntries) sweep();
      if (used.size >= maxEntries) return false;
      used.set(id, until.getTime());
      return true;
    },
  };

  function sweep(): void {
    for (const [id, until] of used) if (until < now()) used.delete(id);
  }
}
