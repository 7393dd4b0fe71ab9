/** The interface of an imported hash format, and the limits of all formats. */
import { timingSafeEqual } from 'node:crypto';

/** Reports whether the password matches. Works in the thread pool, never on the event loop. */
export type Compare = (password: string) => Promise<boolean>;

export interface Scheme {
  /** The name of the format, for error messages. */
  name: string;
  /**
   * Returns how to compare a password with the hash; undefined if the format does not match, or the
   * hash is too expensive to verify.
   */
  read(stored: string): Compare | undefined;
}

/**
 * The memory limit of one comparison. The parameters of an imported hash decide what each attempt
 * costs the server; no real hash needs more.
 */
export const MAX_MEMORY_BYTES = 256 * 1024 * 1024;

/** A shorter digest is rejected: it could be matched by brute force. */
export const MIN_HASH_BYTES = 16;

/** Reports in constant time whether two digests are equal. */
export const isSame = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b);
