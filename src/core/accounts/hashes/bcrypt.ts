/** bcrypt of other systems: the password itself, where our own hashes hold a MAC of it. */
import bcrypt from 'bcrypt';
import type { Scheme } from './scheme.js';

const FORM = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
const MIN_COST = 4;
const MAX_COST = 15;
const MAX_BYTES = 72;

/**
 * `$2a$`, `$2b$` and `$2y$`. What lies beyond 72 bytes of the password does not count, as in the
 * system that made the hash. That is bearable until the first sign-in: whoever gets in by it knew
 * 72 bytes of the password already, and then the whole is hashed.
 */
export const plainBcrypt: Scheme = {
  name: 'bcrypt ($2a$, $2b$, $2y$)',
  read(stored) {
    if (costOf(stored) === undefined) return undefined;
    // Three names of one algorithm, for passwords that are cut here; the library does not know
    // `2y`, and cuts none for `2a`.
    const hash = `$2b${stored.slice(3)}`;
    return (password) => bcrypt.compare(Buffer.from(password).subarray(0, MAX_BYTES), hash);
  },
};

/** Undefined when it is no bcrypt hash, or one that would take too long. */
export function costOf(hash: string): number | undefined {
  const cost = Number(FORM.exec(hash)?.[1]);
  return cost >= MIN_COST && cost <= MAX_COST ? cost : undefined;
}
