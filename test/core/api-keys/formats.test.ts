// Key formats: documented forms, checksums that detect typing errors, uniform randomness.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatOf,
  generateKey,
  KEY_FORMATS,
  type KeyFormat,
  looksLikeKey,
  prefixOf,
} from '../../../src/core/api-keys/formats.js';

const formats = Object.entries<KeyFormat>(KEY_FORMATS);

describe.each(formats)('a key of the format %s', (_, format) => {
  it('is recognized by its form and has at least 128 random bits', () => {
    const key = generateKey(format);
    expect(key.startsWith(format.prefix)).toBe(true);
    expect(formatOf(key)).toBe(format);
    expect(format.random * Math.log2(format.alphabet.length)).toBeGreaterThanOrEqual(128);
    expect(new Set(Array.from({ length: 1000 }, () => generateKey(format))).size).toBe(1000);
  });

  it('is rejected with one character changed, missing or doubled', () => {
    const key = generateKey(format);
    for (let at = 0; at < key.length; at += 1) {
      for (const other of ['x', 'A', '2', '_', '']) {
        if (key[at] === other) continue;
        expect(formatOf(key.slice(0, at) + other + key.slice(at + 1))).toBeUndefined();
      }
      expect(formatOf(key.slice(0, at) + key[at] + key.slice(at))).toBeUndefined();
    }
  });

  it('is rejected with two adjacent characters swapped', () => {
    const key = generateKey(format);
    for (let at = format.prefix.length; at < key.length - 1; at += 1) {
      if (key[at] === key[at + 1]) continue;
      const swapped = key.slice(0, at) + key[at + 1] + key[at] + key.slice(at + 2);
      expect(formatOf(swapped)).toBeUndefined();
    }
  });

  it('uses all characters equally often', () => {
    const counts = new Map<string, number>();
    for (let n = 0; n < 3000; n += 1) {
      const body = generateKey(format).slice(format.prefix.length, -format.checksum);
      for (const character of body) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    const expected = (3000 * format.random) / format.alphabet.length;
    expect(counts.size).toBe(format.alphabet.length);
    for (const count of counts.values()) expect(Math.abs(count / expected - 1)).toBeLessThan(0.2);
  });
});

describe('an API key', () => {
  it('has the documented form', () => {
    expect(generateKey(KEY_FORMATS.sk_live)).toMatch(/^sk_live_[0-9A-Za-z]{38}$/);
    expect(generateKey(KEY_FORMATS.sk_test)).toMatch(/^sk_test_[0-9A-Za-z]{38}$/);
    expect(generateKey(KEY_FORMATS.cap)).toMatch(/^cap_[A-Z2-7]{52}$/);
    expect(generateKey(KEY_FORMATS.cb)).toMatch(/^cb_[0-9a-f]{48}$/);
    expect(generateKey(KEY_FORMATS.ocs_live)).toMatch(/^ocs_live_[0-9A-Za-z]{38}$/);
  });

  it('displays only characters that are not secret', () => {
    const cb = generateKey(KEY_FORMATS.cb);
    expect(KEY_FORMATS.cb.displayPrefix(prefixOf(cb, KEY_FORMATS.cb))).toBe(cb.slice(0, 11));
    expect(prefixOf(cb, KEY_FORMATS.cb)).toHaveLength(11);
    expect(KEY_FORMATS.sk_live.displayPrefix()).toBe('sk_live');
  });

  it('is not recognized in arbitrary text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `sk_live_${text}`),
        ),
        (text) => {
          expect(formatOf(text)).toBeUndefined();
          expect(typeof looksLikeKey(text)).toBe('boolean');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
