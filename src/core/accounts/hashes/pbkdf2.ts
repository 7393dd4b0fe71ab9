/** PBKDF2 (RFC 8018) in the formats of Passlib and Django. */
import { pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { type Compare, isSame, type Scheme } from './scheme.js';

const PASSLIB_FORMAT = /^\$pbkdf2-(sha256|sha512)\$(\d{1,7})\$([A-Za-z0-9./]{0,86})\$([A-Za-z0-9./]{43,86})$/;
const DJANGO_FORMAT = /^pbkdf2_(sha256)\$(\d{1,7})\$([^$]{1,128})\$([A-Za-z0-9+/]{43}=)$/;
const DIGEST_BYTES = { sha256: 32, sha512: 64 };
/** Takes one core about two seconds. */
const MAX_ITERATIONS = 4_000_000;

const derive = promisify(pbkdf2);

export const passlibPbkdf2: Scheme = {
  name: 'PBKDF2 of Passlib ($pbkdf2-sha256$…, $pbkdf2-sha512$…)',
  read(stored) {
    const [, digest, iterations, salt = '', hash = ''] = PASSLIB_FORMAT.exec(stored) ?? [];
    return createCompare(digest, Number(iterations), decodeAdaptedBase64(salt), decodeAdaptedBase64(hash));
  },
};

export const djangoPbkdf2: Scheme = {
  name: 'PBKDF2 of Django (pbkdf2_sha256$…)',
  read(stored) {
    const [, digest, iterations, salt = '', hash = ''] = DJANGO_FORMAT.exec(stored) ?? [];
    return createCompare(digest, Number(iterations), Buffer.from(salt), Buffer.from(hash, 'base64'));
  },
};

function createCompare(
  digest: string | undefined,
  iterations: number,
  salt: Buffer,
  expected: Buffer,
): Compare | undefined {
  const length = DIGEST_BYTES[digest as keyof typeof DIGEST_BYTES];
  if (expected.length !== length || iterations < 1 || iterations > MAX_ITERATIONS) return undefined;
  return async (password) => isSame(await derive(password, salt, iterations, length, digest!), expected);
}

/** Decodes Passlib's "adapted" base64: `.` instead of `+`, without padding. */
const decodeAdaptedBase64 = (text: string) => Buffer.from(text.replaceAll('.', '+'), 'base64');
