/** What a kind of password hash from another system is, and what all of them have in common. */
import { timingSafeEqual } from 'node:crypto';

/** Whether it is the password. Works in the thread pool, never on the event loop. */
export type Compare = (password: string) => Promise<boolean>;

export interface Scheme {
  /** For people: which hashes these are. */
  name: string;
  /**
   * How to compare with this hash; undefined when it is not of this kind, or asks for more than a
   * server should spend.
   */
  read(stored: string): Compare | undefined;
}

/**
 * Whoever imports a hash decides what each guess at its password costs. More than this is not worth
 * it, nor any real hash.
 */
export const MAX_MEMORY_BYTES = 256 * 1024 * 1024;

/** What is cut short to fewer bytes than this would be found by trying. */
export const MIN_HASH_BYTES = 16;

export const isSame = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b);
