/**
 * API keys that a service gives out itself: a prefix, then 128 bits in hexadecimal. Only the hash
 * is for storing.
 */
import { constantTimeEqual, randomHex, sha256Hex } from './bytes.js';

export interface GeneratedApiKey {
  /** For its holder, once. */
  key: string;
  /** SHA-256, hexadecimal, to store. A key is random enough to need no slow hash. */
  hash: string;
  /** To store beside it, and to find it by. No secret. */
  prefix: string;
}

export const DEFAULT_KEY_PREFIX = 'cap_ak_';
const RANDOM_BYTES = 16;
const LOOKUP_LENGTH = 8;
const RANDOM = /^[0-9a-f]{32}$/;

export function generateApiKey({ prefix = DEFAULT_KEY_PREFIX }: { prefix?: string } = {}): GeneratedApiKey {
  if (!/^[\w-]+$/.test(prefix)) throw new TypeError('The prefix of a key has letters, digits, _ and - only');
  const random = randomHex(RANDOM_BYTES);
  const key = prefix + random;
  return { key, hash: sha256Hex(key), prefix: prefix + random.slice(0, LOOKUP_LENGTH) };
}

/** What a key is found by, or null for what is no key with this prefix. Never throws. */
export function apiKeyLookup(key: string, prefix = DEFAULT_KEY_PREFIX): string | null {
  if (typeof key !== 'string' || !key.startsWith(prefix) || !RANDOM.test(key.slice(prefix.length))) return null;
  return key.slice(0, prefix.length + LOOKUP_LENGTH);
}

/** Whether this key has this hash, in constant time. Never rejects. */
export async function verifyApiKey(key: string, hash: string): Promise<boolean> {
  return typeof key === 'string' && typeof hash === 'string' && constantTimeEqual(sha256Hex(key), hash.toLowerCase());
}
