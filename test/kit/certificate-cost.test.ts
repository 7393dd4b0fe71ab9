// The sender of a certificate chain chooses its keys and contents, and so what it costs to verify.
import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { chainsToAuthority } from '../../src/kit/certificate.js';
import { parseCertificateExtensions } from '../../src/kit/certificate-extensions.js';
import { costlyKeyPair } from '../support/costly-credentials.js';
import { type Holder, issue, KEY_USE, makeAuthority } from '../support/workloads.js';

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

it('neither parses nor uses an intermediate authority that no trusted authority has issued', () => {
  const made = makeAuthority('Made up');
  const leaf = issue(made, { commonName: 'Client' });
  const uses: string[] = [];
  for (const member of ['raw', 'publicKey'] as const) {
    Object.defineProperty(made.certificate, member, { get: () => uses.push(member) });
  }
  expect(chainsToAuthority([leaf.certificate, made.certificate], [AUTHORITY.certificate])).toBe(false);
  expect(uses).toEqual([]);
});

it('trusts authorities that have signed each other, up to their path length', () => {
  const upper = issue(AUTHORITY, { commonName: 'Same', isAuthority: true, pathLength: 1 });
  const lower = issue(upper, { commonName: 'Same', isAuthority: true, key: upper });
  const lowest = issue(lower, { commonName: 'Lowest', isAuthority: true });
  const isTrustedChain = (...chain: Holder[]) =>
    chainsToAuthority(
      chain.map(({ certificate }) => certificate),
      [AUTHORITY.certificate],
    );
  expect(isTrustedChain(issue(lower), lower, upper)).toBe(true);
  expect(isTrustedChain(issue(lowest), lowest, lower, upper)).toBe(true); // `upper` has the key of `lower` and signs both
  const last = issue(lowest, { commonName: 'Last', isAuthority: true });
  expect(isTrustedChain(issue(last), last, lowest, lower, upper)).toBe(false);
});

it.each([
  ['names', { uris: Array(300).fill('a') }],
  ['purposes', { extendedKeyUsage: Array(300).fill('2b06') }],
  ['numbers in an object identifier', { extendedKeyUsage: [`2b${'06'.repeat(300)}`] }],
])('rejects a certificate with too many %s', (_, request) => {
  const { certificate } = issue(undefined, request);
  expect(parseCertificateExtensions(certificate.raw)).toBeUndefined();
});

it('accepts a certificate with many names', () => {
  const { certificate } = issue(undefined, { dnsNames: Array(200).fill('a.example.org') });
  expect(parseCertificateExtensions(certificate.raw)?.dnsNames).toHaveLength(200);
});
