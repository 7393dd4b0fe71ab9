/** scrypt (RFC 7914), as a PHC string. */
import { type ScryptOptions, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { isSame, MAX_MEMORY_BYTES, MIN_HASH_BYTES, type Scheme } from './scheme.js';

const PHC_FORMAT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{0,86})\$([A-Za-z0-9+/]{22,86})$/;
const BYTES_PER_BLOCK = 128;
/** The maximum of N × r × p, which takes one core about two seconds. */
const MAX_WORK = 2 ** 22;

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

export const scryptString: Scheme = {
  name: 'scrypt ($scrypt$ln=…)',
  read(stored) {
    const [, log2, blockSize, lanes, saltText = '', hashText = ''] = PHC_FORMAT.exec(stored) ?? [];
    const [N, r, p] = [2 ** Number(log2), Number(blockSize), Number(lanes)];
    const salt = Buffer.from(saltText, 'base64');
    const expected = Buffer.from(hashText, 'base64');
    const isAffordable =
      N >= 2 &&
      N < 2 ** (16 * r) && // RFC 7914, section 2
      p >= 1 &&
      N * r * p <= MAX_WORK &&
      N * r * BYTES_PER_BLOCK <= MAX_MEMORY_BYTES;
    if (!isAffordable || expected.length < MIN_HASH_BYTES) return undefined;
    const options = { N, r, p, maxmem: (N + p + 2) * r * BYTES_PER_BLOCK };
    return async (password) => isSame(await derive(password, salt, expected.length, options), expected);
  },
};
