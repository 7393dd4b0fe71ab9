/**
 * Password hashes imported from other systems. Each is used for one sign-in, which replaces it with
 * a hash of our own.
 */
import { argon2id } from './hashes/argon2id.js';
import { plainBcrypt } from './hashes/bcrypt.js';
import { djangoPbkdf2, passlibPbkdf2 } from './hashes/pbkdf2.js';
import type { Compare, Scheme } from './hashes/scheme.js';
import { scryptString } from './hashes/scrypt.js';

const SCHEMES: Scheme[] = [plainBcrypt, argon2id, scryptString, passlibPbkdf2, djangoPbkdf2];
const MAX_HASH_LENGTH = 512;

/** The names of the supported formats, for error messages. */
export const IMPORTED_HASHES = SCHEMES.map(({ name }) => name);

/**
 * Returns the function that compares a password with the hash. Returns undefined if the format is
 * not supported.
 */
export function readImportedHash(stored: string): Compare | undefined {
  if (stored.length > MAX_HASH_LENGTH) return undefined;
  for (const scheme of SCHEMES) {
    const compare = scheme.read(stored);
    if (compare) return compare;
  }
  return undefined;
}
