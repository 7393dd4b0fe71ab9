/**
 * Formats of keys. A key consists of a prefix, a random part and a checksum. With the checksum,
 * mistyped keys are rejected without a query, and secret scanners recognize leaked keys.
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { constantTimeEqual } from '../../base/crypto.js';

export interface KeyFormat {
  /** Identifies the format; stored with each key. */
  prefix: string;
  alphabet: string;
  /** Number of random characters. */
  random: number;
  /** Number of checksum characters. */
  checksum: number;
  /** Returns the prefix that lists show, from the stored prefix. */
  displayPrefix: (prefix: string) => string;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'; // RFC 4648
const HEX = '0123456789abcdef';
/** The number of characters after the prefix that are stored in plain text to find the key. */
const PREFIX_LENGTH = 8;
const CRC_VALUES = 2 ** 32;
const BYTE_VALUES = 256;

const BASE62_FORMAT = { alphabet: BASE62, random: 32, checksum: 6 };

export const KEY_FORMATS = {
  sk_live: { prefix: 'sk_live_', ...BASE62_FORMAT, displayPrefix: () => 'sk_live' },
  sk_test: { prefix: 'sk_test_', ...BASE62_FORMAT, displayPrefix: () => 'sk_test' },
  cap: { prefix: 'cap_', alphabet: BASE32, random: 45, checksum: 7, displayPrefix: () => 'cap' },
  cb: { prefix: 'cb_', alphabet: HEX, random: 40, checksum: 8, displayPrefix: (prefix: string) => prefix },
  ocs_live: { prefix: 'ocs_live_', ...BASE62_FORMAT, displayPrefix: () => 'ocs_live' },
} satisfies Record<string, KeyFormat>;

export type KeyFormatName = keyof typeof KEY_FORMATS;

const longestFirst = Object.values<KeyFormat>(KEY_FORMATS).sort((a, b) => b.prefix.length - a.prefix.length);

/** Returns a new key of this format. */
export function generateKey(format: KeyFormat): string {
  const body = format.prefix + randomText(format);
  return body + checksumOf(body, format);
}

/** Returns the format of a well-formed key: known prefix, right length, valid checksum. */
export function formatOf(text: string): KeyFormat | undefined {
  const format = longestFirst.find(({ prefix }) => text.startsWith(prefix));
  if (!format || text.length !== format.prefix.length + format.random + format.checksum) return undefined;
  const body = text.slice(0, -format.checksum);
  return constantTimeEqual(checksumOf(body, format), text.slice(-format.checksum)) ? format : undefined;
}

/** Returns the format of a stored key by its prefix. Throws an `Error` if it is unknown. */
export function formatWith(prefix: string): KeyFormat {
  const format = longestFirst.find((candidate) => candidate.prefix === prefix);
  if (!format) throw new Error(`There is no key format ${prefix}`);
  return format;
}

/** Reports whether a text has the prefix of a key, even if the rest is mistyped. */
export const looksLikeKey = (text: string) => longestFirst.some(({ prefix }) => text.startsWith(prefix));

/** Returns the first characters of a key, by which it is found. They are not secret. */
export const prefixOf = (key: string, { prefix }: KeyFormat) => key.slice(0, prefix.length + PREFIX_LENGTH);

/** Returns uniformly random characters. Discards bytes that would bias the choice. */
function randomText({ alphabet, random }: KeyFormat): string {
  const limit = BYTE_VALUES - (BYTE_VALUES % alphabet.length);
  let text = '';
  while (text.length < random) {
    for (const byte of randomBytes(random)) {
      if (byte < limit && text.length < random) text += alphabet[byte % alphabet.length];
    }
  }
  return text;
}

function checksumOf(body: string, { alphabet, checksum }: KeyFormat): string {
  let value = crc32(body) % CRC_VALUES;
  let text = '';
  for (let n = 0; n < checksum; n += 1) {
    text = alphabet[value % alphabet.length] + text;
    value = Math.floor(value / alphabet.length);
  }
  return text;
}
