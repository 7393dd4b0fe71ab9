// The sender of a certificate chain chooses its keys, and so what a verification costs.
import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { chainsToAuthority } from '../../src/kit/certificate.js';
import { costlyKeyPair } from '../support/costly-credentials.js';
import { issue, KEY_USE, makeAuthority } from '../support/workloads.js';

const AUTHORITY = makeAuthority();

function isTrusted(key: Parameters<typeof issue>[1] & object): boolean {
  const intermediate = issue(AUTHORITY, { isAuthority: true, keyUsage: [KEY_USE.keyCertSign], ...key });
  const chain = [issue(intermediate, { commonName: 'Client' }), intermediate];
  return chainsToAuthority(
    chain.map(({ certificate }) => certificate),
    [AUTHORITY.certificate],
  );
}

it('accepts an intermediate authority with a usual RSA key', () => {
  expect(isTrusted({ key: generateKeyPairSync('rsa', { modulusLength: 2048 }) })).toBe(true);
});

it('rejects an intermediate authority whose key has a large exponent', () => {
  expect(isTrusted({ key: costlyKeyPair() })).toBe(false);
});
