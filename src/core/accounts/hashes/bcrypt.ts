/** bcrypt of other systems, which hash the password itself instead of a MAC. */
import bcrypt from 'bcrypt';
import type { Scheme } from './scheme.js';

const FORM = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const MIN_COST = 4;
const MAX_COST = 15;
const MAX_BYTES = 72;

/**
 * `$2a$`, `$2b$` and `$2y$`. Ignores the password after 72 bytes, as the other system did. That is
 * acceptable for one sign-in: the user knew 72 bytes, and then the whole password is hashed.
 */
export const plainBcrypt: Scheme = {
  name: 'bcrypt ($2a$, $2b$, $2y$)',
  read(stored) {
    if (costOf(stored) === undefined) return undefined;
    // All three name the same algorithm. The library does not know `2y`, and does not truncate for
    // `2a`, so the password is truncated here.
    const hash = `$2b${stored.slice(3)}`;
    return (password) => bcrypt.compare(Buffer.from(password).subarray(0, MAX_BYTES), hash);
  },
};

/** Returns the cost; undefined if it is not a bcrypt hash, or is too slow to verify. */
export function costOf(hash: string): number | undefined {
  const cost = Number(FORM.exec(hash)?.[1]);
  return cost >= MIN_COST && cost <= MAX_COST ? cost : undefined;
}
