/** The interface of an imported hash format, and the limits of all formats. */
import { timingSafeEqual } from 'node:crypto';

/** Reports whether a password matches one hash. Runs in the thread pool, not on the event loop. */
export type Compare = (password: string) => Promise<boolean>;

export interface Scheme {
  /** The name of the format, for error messages. */
  name: string;
  /**
   * Returns the function that compares a password with the hash. Returns undefined if the format
   * does not match, or the hash is too expensive to verify.
   */
  read(stored: string): Compare | undefined;
}

/**
 * The memory limit of one comparison. The parameters of an imported hash decide how much memory
 * each attempt takes. No real hash needs more than this.
 */
export const MAX_MEMORY_BYTES = 256 * 1024 * 1024;

/** Shorter digests are rejected, because a brute-force search could match them. */
export const MIN_HASH_BYTES = 16;

/** Reports in constant time whether two digests are equal. */
export const isSame = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b);
