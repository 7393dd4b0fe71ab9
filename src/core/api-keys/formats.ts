/**
 * What keys look like. A format is a value: its prefix, its alphabet, how much of it is random. The
 * end of every key is a checksum, so that a mistyped one is refused without a look-up, and a
 * scanner that finds one in a repository can tell that it is one.
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { constantTimeEqual } from '../../base/crypto.js';

export interface KeyFormat {
  /** What it begins with, and what is stored of the format with each key. */
  prefix: string;
  alphabet: string;
  /** Characters of chance, then characters of checksum. */
  random: number;
  checksum: number;
  /** How a key is shown in lists, made of what it is found by. */
  displayPrefix: (prefix: string) => string;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'; // RFC 4648
const HEX = '0123456789abcdef';
/** By so many characters after its prefix a key is found among all others. */
const PREFIX_LENGTH = 8;
const CRC_VALUES = 2 ** 32;
const BYTE_VALUES = 256;

const wide = { alphabet: BASE62, random: 32, checksum: 6 };

export const KEY_FORMATS = {
  sk_live: { prefix: 'sk_live_', ...wide, displayPrefix: () => 'sk_live' },
  sk_test: { prefix: 'sk_test_', ...wide, displayPrefix: () => 'sk_test' },
  cap: { prefix: 'cap_', alphabet: BASE32, random: 45, checksum: 7, displayPrefix: () => 'cap' },
  cb: { prefix: 'cb_', alphabet: HEX, random: 40, checksum: 8, displayPrefix: (prefix: string) => prefix },
  ocs_live: { prefix: 'ocs_live_', ...wide, displayPrefix: () => 'ocs_live' },
} satisfies Record<string, KeyFormat>;

export type KeyFormatName = keyof typeof KEY_FORMATS;

const longestFirst = Object.values<KeyFormat>(KEY_FORMATS).sort((a, b) => b.prefix.length - a.prefix.length);

/** A new key: `prefix`, chance, checksum. */
export function generateKey(format: KeyFormat): string {
  const body = format.prefix + randomText(format);
  return body + checksumOf(body, format);
}

/**
 * The format of what is a key by its form: known prefix, right length and characters, and a
 * checksum that is right.
 */
export function formatOf(text: string): KeyFormat | undefined {
  const format = longestFirst.find(({ prefix }) => text.startsWith(prefix));
  if (!format || text.length !== format.prefix.length + format.random + format.checksum) return undefined;
  const body = text.slice(0, -format.checksum);
  return constantTimeEqual(checksumOf(body, format), text.slice(-format.checksum)) ? format : undefined;
}

/** The format of a stored key. */
export function formatWith(prefix: string): KeyFormat {
  const found = longestFirst.find((format) => format.prefix === prefix);
  if (!found) throw new Error(`There is no key format ${prefix}`);
  return found;
}

/** Whether it means to be a key, right or mistyped. */
export const looksLikeKey = (text: string) => longestFirst.some(({ prefix }) => text.startsWith(prefix));

/** What a key is found by. No secret: the rest of it is. */
export const prefixOf = (key: string, { prefix }: KeyFormat) => key.slice(0, prefix.length + PREFIX_LENGTH);

/** Each character with the same chance: bytes that would favour the first ones are thrown away. */
function randomText({ alphabet, random }: KeyFormat): string {
  const fair = BYTE_VALUES - (BYTE_VALUES % alphabet.length);
  let text = '';
  while (text.length < random) {
    for (const byte of randomBytes(random)) {
      if (byte < fair && text.length < random) text += alphabet[byte % alphabet.length];
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
