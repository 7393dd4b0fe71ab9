/** bcrypt hashes from other systems, which hash the password itself instead of a MAC. */
import bcrypt from 'bcrypt';
import type { Scheme } from './scheme.js';

const BCRYPT_FORMAT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const MIN_COST = 4;
const MAX_COST = 15;
const MAX_PASSWORD_BYTES = 72;

/**
 * `$2a$`, `$2b$` and `$2y$`. Ignores the password after 72 bytes, as the other system did. That is
 * acceptable once: the user knows those 72 bytes, and the sign-in then hashes the whole password.
 */
export const plainBcrypt: Scheme = {
  name: 'bcrypt ($2a$, $2b$, $2y$)',
  read(stored) {
    if (costOf(stored) === undefined) return undefined;
    // All three prefixes name the same algorithm. The library does not know `2y`, and does not
    // truncate the password for `2a`, so this code does.
    const hash = `$2b${stored.slice(3)}`;
    return (password) => bcrypt.compare(Buffer.from(password).subarray(0, MAX_PASSWORD_BYTES), hash);
  },
};

/** Returns the cost. Returns undefined if it is not a bcrypt hash, or is too slow to verify. */
export function costOf(hash: string): number | undefined {
  const cost = Number(BCRYPT_FORMAT.exec(hash)?.[1]);
  return cost >= MIN_COST && cost <= MAX_COST ? cost : undefined;
}
