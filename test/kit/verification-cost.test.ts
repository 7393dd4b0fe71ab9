// The bounds of a key that a caller chooses.

import { describe, expect, it } from 'vitest';
import { isBoundedKey } from '../../src/kit/verification-cost.js';

const base64url = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64url');
const rsa = (modulusBytes: number, exponentBytes: number) => ({
  kty: 'RSA',
  n: base64url(modulusBytes),
  e: base64url(exponentBytes),
});
describe('a public key', () => {
  it.each([
    ['RSA with 8192 bits', rsa(1024, 3), true],
    ['RSA with an exponent of 32 bits', rsa(256, 4), true],
    ['RSA with 8200 bits', rsa(1025, 3), false],
    ['RSA with an exponent of 40 bits', rsa(256, 5), false],
    ['EC', { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, true],
  ])('is bounded or not: %s', (_, key, expected) => {
    expect(isBoundedKey(key)).toBe(expected);
  });
});
