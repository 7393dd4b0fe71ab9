/**
 * API keys that a service issues itself: a prefix, then 128 random bits in hexadecimal. Store only
 * the hash.
 */
import { constantTimeEqual, randomHex, sha256Hex } from './bytes.js';

export interface GeneratedApiKey {
  /** The key. Show it to its holder once, and do not store it. */
  key: string;
  /** SHA-256 in hexadecimal, to store. A random key needs no slow hash. */
  hash: string;
  /** The start of the key. Store it to find the key. It is not secret. */
  prefix: string;
}

export const DEFAULT_KEY_PREFIX = 'cap_ak_';
const RANDOM_BYTES = 16;
const LOOKUP_LENGTH = 8;
const RANDOM_PART = /^[0-9a-f]{32}$/;

/**
 * Generates a key. Throws a TypeError if the prefix contains a character other than `\w` and `-`.
 */
export function generateApiKey({ prefix = DEFAULT_KEY_PREFIX }: { prefix?: string } = {}): GeneratedApiKey {
  if (!/^[\w-]+$/.test(prefix)) throw new TypeError('A key prefix must consist of letters, digits, _ and -');
  const random = randomHex(RANDOM_BYTES);
  const key = prefix + random;
  return { key, hash: sha256Hex(key), prefix: prefix + random.slice(0, LOOKUP_LENGTH) };
}

/** Returns the stored prefix of a key, or null if the text is not a key with this prefix. */
export function apiKeyLookup(key: string, prefix = DEFAULT_KEY_PREFIX): string | null {
  if (typeof key !== 'string' || !key.startsWith(prefix) || !RANDOM_PART.test(key.slice(prefix.length))) return null;
  return key.slice(0, prefix.length + LOOKUP_LENGTH);
}

/** Reports whether a key has this hash, in constant time. Never rejects. */
export async function verifyApiKey(key: string, hash: string): Promise<boolean> {
  return typeof key === 'string' && typeof hash === 'string' && constantTimeEqual(sha256Hex(key), hash.toLowerCase());
}
