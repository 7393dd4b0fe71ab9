/**
 * The hashes that people bring along from other systems. Each is good for one sign-in; then the
 * password is hashed our way.
 */
import { argon2id } from './hashes/argon2id.js';
import { plainBcrypt } from './hashes/bcrypt.js';
import { djangoPbkdf2, passlibPbkdf2 } from './hashes/pbkdf2.js';
import type { Compare, Scheme } from './hashes/scheme.js';
import { scryptString } from './hashes/scrypt.js';

const SCHEMES: Scheme[] = [plainBcrypt, argon2id, scryptString, passlibPbkdf2, djangoPbkdf2];
const MAX_LENGTH = 512;

export const IMPORTED_HASHES = SCHEMES.map(({ name }) => name);

/** How to compare with a hash of one of these kinds; undefined for anything else. */
export function readImportedHash(stored: string): Compare | undefined {
  if (stored.length > MAX_LENGTH) return undefined;
  for (const scheme of SCHEMES) {
    const compare = scheme.read(stored);
    if (compare) return compare;
  }
  return undefined;
}
