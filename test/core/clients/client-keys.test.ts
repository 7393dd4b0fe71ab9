// The bounds of a client's public keys.

import { describe, expect, it } from 'vitest';
import { keySetError } from '../../../src/core/clients/client-keys.js';

const base64url = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64url');
const rsa = (modulusBytes: number, exponentBytes: number) => ({
  kty: 'RSA',
  n: base64url(modulusBytes),
  e: base64url(exponentBytes),
});
const keys = (count: number) => Array.from({ length: count }, (_, n) => ({ kty: 'EC', kid: `key-${n}` }));

describe('the key set of a client', () => {
  it.each([
    ['is absent', undefined, undefined],
    ['has one key without kid', { keys: [{ kty: 'EC' }] }, undefined],
    ['has 10 keys', { keys: keys(10) }, undefined],
    ['has 11 keys', { keys: keys(11) }, 'jwks can have at most 10 keys'],
    ['has two keys without kid', { keys: [{ kty: 'EC' }, { kty: 'EC' }] }, 'each key in jwks needs a kid of its own'],
    ['has a kid twice', { keys: [...keys(1), ...keys(1)] }, 'each key in jwks needs a kid of its own'],
    ['is not an object', 'x', 'jwks must be a JWK set'],
    ['has an unbounded key', { keys: [rsa(256, 200)] }, expect.stringContaining('exponent of at most 32 bits')],
  ])('that %s', (_, jwks, expected) => {
    expect(keySetError(jwks, 10)).toEqual(expected);
  });
});
