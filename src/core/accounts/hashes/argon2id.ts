/**
 * argon2id, version 1.3 (RFC 9106), as a PHC string. Verifying a hash with several lanes occupies
 * as many cores, but only until the first sign-in replaces the hash.
 */
import { isSame, MAX_MEMORY_BYTES, MIN_HASH_BYTES, type Scheme } from './scheme.js';

const PHC_FORMAT =
  /^\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
const KIBIBYTE = 1024;
const MIN_KIBIBYTES_PER_LANE = 8;
const MIN_SALT_BYTES = 8;
const MAX_LANES = 16;
/** The maximum of memory × passes, which takes one core about two seconds. */
const MAX_WORK_BYTES = 16 * MAX_MEMORY_BYTES;

export const argon2id: Scheme = {
  name: 'argon2id ($argon2id$v=19$…)',
  read(stored) {
    const [, memory, passes, lanes, saltText = '', hashText = ''] = PHC_FORMAT.exec(stored) ?? [];
    const [memoryCost, timeCost, parallelism] = [Number(memory), Number(passes), Number(lanes)];
    const bytes = memoryCost * KIBIBYTE;
    const salt = Buffer.from(saltText, 'base64');
    const expected = Buffer.from(hashText, 'base64');
    const isAffordable =
      bytes <= MAX_MEMORY_BYTES &&
      bytes * timeCost <= MAX_WORK_BYTES &&
      timeCost >= 1 &&
      parallelism >= 1 &&
      parallelism <= MAX_LANES &&
      memoryCost >= MIN_KIBIBYTES_PER_LANE * parallelism;
    if (!isAffordable || salt.length < MIN_SALT_BYTES || expected.length < MIN_HASH_BYTES) return undefined;

    return async function compare(password) {
      const { hashRaw } = await import('@node-rs/argon2'); // loaded on demand: most installations never need it
      const options = { memoryCost, timeCost, parallelism, salt, outputLen: expected.length };
      return isSame(await hashRaw(password, options), expected);
    };
  },
};
