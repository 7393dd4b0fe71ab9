// X.509-SVIDs, JWT-SVIDs and bundles of SPIFFE trust domains.
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainsToAuthority, extensionsOf } from '../../src/kit/certificate.js';
import { parseSpiffeBundle, parseSpiffeId, spiffeIdOf, verifyJwtSvid, verifyX509Svid } from '../../src/kit/spiffe.js';
import {
  type CertificateRequest,
  CLIENT_AUTH,
  extension,
  issue,
  KEY_USE,
  makeAuthority,
  makeTrustDomain,
  SERVER_AUTH,
  tlv,
} from '../support/workloads.js';

const domain = makeTrustDomain('example.org');
const bundles = (name: string) => (name === domain.name ? parseSpiffeBundle(domain.bundle()) : undefined);
const ID = 'spiffe://example.org/ns/shop/sa/api';
const HOUR_MS = 3_600_000;
/** Name constraints with one subtree, the domain of a URI: 0 is permitted, 1 is excluded. */
const nameConstraints = (tag: 0 | 1, domain: string) =>
  extension('551d1e', false, tlv(0x30, tlv(0xa0 + tag, tlv(0x30, tlv(0x86, Buffer.from(domain))))));

describe('a SPIFFE ID', () => {
  it.each([ID, 'spiffe://example.org', 'spiffe://a.b-c_d.1/X/.hidden/...'])('can be %s', (text) => {
    expect(parseSpiffeId(text)?.id).toBe(text);
  });

  it.each([
    '',
    'spiffe://',
    'spiffe:///a',
    'https://example.org/a',
    'SPIFFE://example.org/a',
    'spiffe://Example.org/a',
    'spiffe://example.org/',
    'spiffe://example.org/a/',
    'spiffe://example.org//a',
    'spiffe://example.org/.',
    'spiffe://example.org/../a',
    'spiffe://example.org/a/..',
    'spiffe://example.org/%61',
    'spiffe://example.org/a?b',
    'spiffe://example.org/a#b',
    'spiffe://u@example.org/a',
    'spiffe://example.org:443/a',
    'spiffe://exämple.org/a',
    'spiffe://example.org/a b',
    `${ID}\n`,
    ` ${ID}`,
    `spiffe://${'a'.repeat(256)}/a`,
    `spiffe://example.org/${'a'.repeat(2048)}`,
  ])('cannot be %j', (text) => {
    expect(parseSpiffeId(text)).toBeUndefined();
  });
});

describe('verifyX509Svid', () => {
  const verdict = (...holders: { certificate: X509Certificate }[]) =>
    verifyX509Svid(
      holders.map(({ certificate }) => certificate),
      bundles,
    );

  it('returns the SPIFFE ID and the expiry of a certificate', () => {
    const holder = domain.workload();
    const expiresAt = new Date(holder.certificate.validTo);
    expect(verdict(holder)).toEqual({ kind: 'valid', spiffeId: parseSpiffeId(ID), expiresAt });
  });

  it('accepts a chain through intermediate authorities, in any order', () => {
    const upper = issue(domain.authority(), {
      commonName: 'Upper',
      isAuthority: true,
      keyUsage: [KEY_USE.keyCertSign],
    });
    const lower = issue(upper, { commonName: 'Lower', isAuthority: true });
    const holder = issue(lower, { uris: [ID] });
    expect(verdict(holder, lower, upper).kind).toBe('valid');
    expect(verdict(holder, upper, lower).kind).toBe('valid');
    for (const chain of [[holder], [holder, lower], [holder, upper]]) expect(verdict(...chain).kind).toBe('invalid');
  });

  it('rejects a certificate without an authority of its own trust domain', () => {
    const other = makeTrustDomain('partner.com');
    const sameName = makeTrustDomain('example.org');
    const misissued = issue(other.authority(), { uris: [ID] });
    const untrusted = other.workload();
    const selfSigned = issue(undefined, { uris: [ID] });
    for (const chain of [
      [sameName.workload()],
      [sameName.workload(), sameName.authority()],
      [misissued],
      [untrusted],
      [selfSigned],
      [],
    ])
      expect(verdict(...chain).kind).toBe('invalid');
    // Both domains are trusted, each for its own workloads.
    const both = (name: string) => (name === other.name ? parseSpiffeBundle(other.bundle()) : bundles(name));
    expect(verifyX509Svid([untrusted.certificate], both).kind).toBe('valid');
    expect(verifyX509Svid([misissued.certificate], both).kind).toBe('invalid');
  });

  it.each<[string, object]>([
    ['two URIs', { uris: [ID, 'spiffe://example.org/other'] }],
    ['a SPIFFE ID and another URI', { uris: [ID, 'https://example.org'] }],
    ['no URI', { uris: [] }],
    ['a URI that is not a SPIFFE ID', { uris: ['https://example.org/ns/shop'] }],
    ['a SPIFFE ID that is not normalized', { uris: [`${ID}/../admin`] }],
    ['a SPIFFE ID with a NUL', { uris: [`${ID}\0.evil`] }],
    ['a comma that imitates a second name', { uris: [`${ID}, URI:spiffe://example.org/admin`] }],
    ['its SPIFFE ID as a DNS name', { uris: [], dnsNames: [ID] }],
    ['the ID of the trust domain', { uris: ['spiffe://example.org'] }],
    ['the flag of an authority', { isAuthority: true }],
    ['the key usage keyCertSign', { keyUsage: [KEY_USE.digitalSignature, KEY_USE.keyCertSign] }],
    ['the key usage cRLSign', { keyUsage: [KEY_USE.digitalSignature, KEY_USE.cRLSign] }],
    ['no key usage for signatures', { keyUsage: [2] }],
    ['an extended key usage for servers only', { extendedKeyUsage: [SERVER_AUTH] }],
    ['an empty extended key usage', { extendedKeyUsage: [] }],
    ['an expiry in the past', { to: new Date(Date.now() - 1000) }],
    ['a start in the future', { from: new Date(Date.now() + HOUR_MS / 2) }],
    ['an unknown critical extension', { extensions: [extension('2a03', true, tlv(0x05))] }],
    ['an extension twice', { extensions: [extension('551d11', false, tlv(0x30, tlv(0x86, Buffer.from(ID))))] }],
  ])('rejects a certificate with %s', (_description, more) => {
    expect(verdict(domain.workload(undefined, more)).kind).toBe('invalid');
  });

  it('rejects issuers that are no authority, cannot sign, have expired, or exceed the path length', () => {
    const workload = domain.workload();
    const names = { uris: [ID] };
    const leafOnly = issue(domain.authority(), { commonName: 'Leaf only', isAuthority: true, pathLength: 0 });
    const tooDeep = issue(leafOnly, { commonName: 'Too deep', isAuthority: true });
    const cannotSign = issue(domain.authority(), {
      commonName: 'Cannot sign',
      isAuthority: true,
      keyUsage: [KEY_USE.digitalSignature],
    });
    const expired = issue(domain.authority(), {
      commonName: 'Expired',
      isAuthority: true,
      to: new Date(Date.now() - 1000),
    });
    const constrained = issue(domain.authority(), {
      commonName: 'Constrained',
      isAuthority: true,
      extensions: [extension('551d1e', true, tlv(0x30))],
    });
    const notAuthority = issue(domain.authority(), { commonName: 'Not an authority' });
    for (const chain of [
      [issue(workload, names), workload],
      [issue(tooDeep, names), tooDeep, leafOnly],
      [issue(cannotSign, names), cannotSign],
      [issue(expired, names), expired],
      [issue(constrained, names), constrained],
      [issue(notAuthority, names), notAuthority],
    ]) {
      expect(verdict(...chain).kind, chain.map(({ certificate }) => certificate.subject).join(' < ')).toBe('invalid');
    }
    expect(verdict(issue(leafOnly, names), leafOnly).kind).toBe('valid');
  });

  it.each<[string, CertificateRequest, 'valid' | 'invalid']>([
    ['no extended key usage', {}, 'valid'],
    ['the extended key usage clientAuth', { extendedKeyUsage: [CLIENT_AUTH] }, 'valid'],
    ['the extended key usages clientAuth and serverAuth', { extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH] }, 'valid'],
    ['the extended key usage for any purpose', { extendedKeyUsage: ['551d2500'] }, 'valid'],
    ['the extended key usage serverAuth', { extendedKeyUsage: [SERVER_AUTH] }, 'invalid'],
    ['the extended key usage emailProtection', { extendedKeyUsage: ['2b06010505070304'] }, 'invalid'],
    ['an empty extended key usage', { extendedKeyUsage: [] }, 'invalid'],
    ['name constraints that permit the name', { extensions: [nameConstraints(0, 'example.org')] }, 'invalid'],
    ['name constraints that exclude another name', { extensions: [nameConstraints(1, 'other.example')] }, 'invalid'],
  ])('checks what an intermediate authority can issue: %s', (_, more, expected) => {
    const intermediate = issue(domain.authority(), { commonName: 'Intermediate', isAuthority: true, ...more });
    expect(verdict(issue(intermediate, { uris: [ID] }), intermediate).kind).toBe(expected);
    const lower = issue(intermediate, { commonName: 'Lower', isAuthority: true });
    expect(verdict(issue(lower, { uris: [ID] }), lower, intermediate).kind).toBe(expected);
  });

  it.each([-1, -128])('rejects an authority with the path length %i', (pathLength) => {
    const upper = issue(domain.authority(), { commonName: 'Upper', isAuthority: true, pathLength });
    const lower = issue(upper, { commonName: 'Lower', isAuthority: true });
    expect(verdict(issue(lower, { uris: [ID] }), lower, upper).kind).toBe('invalid');
  });

  it('rejects a BER boolean in the basic constraints', () => {
    const flag = extension('551d13', true, tlv(0x30, tlv(0x01, Buffer.from([0x01]))));
    expect(verdict(domain.workload(undefined, { isAuthority: undefined, extensions: [flag] })).kind).toBe('invalid');
  });

  it('rejects many authorities that signed each other without taking long', () => {
    const authorities = [makeAuthority('Same')];
    for (let n = 1; n < 12; n += 1)
      authorities.push(issue(authorities[0], { commonName: 'Same', isAuthority: true, key: authorities[0] }));
    const began = Date.now();
    expect(verdict(issue(authorities[0], { uris: [ID] }), ...authorities).kind).toBe('invalid');
    expect(Date.now() - began).toBeLessThan(2000);
  });

  it('does not trust the name of an issuer without its signature', () => {
    const forged = makeAuthority(`Authority of ${domain.name}`);
    expect(verdict(issue(forged, { uris: [ID] })).kind).toBe('invalid');
    expect(verdict(issue(forged, { uris: [ID] }), forged).kind).toBe('invalid');
    expect(chainsToAuthority([], [forged.certificate])).toBe(false);
  });

  it('never throws for a damaged certificate', () => {
    const { raw } = domain.workload().certificate;
    fc.assert(
      fc.property(fc.nat(raw.length - 1), fc.nat(255), (at, byte) => {
        const damaged = Buffer.from(raw);
        damaged[at] = byte;
        let certificate: X509Certificate;
        try {
          certificate = new X509Certificate(damaged);
        } catch {
          return true;
        }
        extensionsOf(certificate);
        spiffeIdOf(certificate);
        return damaged.equals(raw) || verifyX509Svid([certificate], bundles).kind === 'invalid';
      }),
      { numRuns: 300 },
    );
  });
});

describe('verifyJwtSvid', () => {
  const AUDIENCE = 'https://id.example.com';
  const verdict = (token: string) => verifyJwtSvid(token, bundles, { audience: [AUDIENCE, `${AUDIENCE}/token`] });

  it('returns the SPIFFE ID of a token', async () => {
    for (const header of [{}, { typ: 'JOSE' }, { typ: undefined }])
      expect(await verdict(await domain.token(AUDIENCE, {}, header))).toMatchObject({
        kind: 'valid',
        spiffeId: { id: ID },
      });
    expect((await verdict(await domain.token([`${AUDIENCE}/token`, 'https://other.example']))).kind).toBe('valid');
  });

  it('rejects tokens of other domains, for other audiences, expired or unsigned', async () => {
    const now = Math.floor(Date.now() / 1000);
    const other = makeTrustDomain('example.org');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const invalid = [
      domain.token('https://other.example'),
      domain.token([]),
      domain.token(AUDIENCE, { aud: undefined }),
      domain.token(AUDIENCE, { exp: now - 10 }),
      domain.token(AUDIENCE, { exp: undefined }),
      domain.token(AUDIENCE, { nbf: now + 600 }),
      domain.token(AUDIENCE, { sub: undefined }),
      domain.token(AUDIENCE, { sub: 'api' }),
      domain.token(AUDIENCE, { sub: 'spiffe://example.org' }),
      domain.token(AUDIENCE, { sub: 'spiffe://partner.com/api' }),
      domain.token(AUDIENCE, { sub: [ID] }),
      domain.token(AUDIENCE, {}, { typ: 'at+jwt' }),
      domain.token(AUDIENCE, {}, { kid: undefined }),
      domain.token(AUDIENCE, {}, { kid: 'another' }),
      domain.token(AUDIENCE, {}, {}, privateKey),
      domain.token(AUDIENCE, {}, {}, domain.authority().privateKey),
      other.token(AUDIENCE),
    ];
    for (const [n, token] of invalid.entries()) expect((await verdict(await token)).kind, String(n)).toBe('invalid');
    const [header, payload, signature] = (await domain.token(AUDIENCE)).split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    for (const token of [
      '',
      'garbage',
      'a.b.c',
      `${none}.${payload}.`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature}.`,
    ])
      expect((await verdict(token)).kind, token).toBe('invalid');
  });
});

describe('parseSpiffeBundle', () => {
  it.each([
    '',
    'null',
    '[]',
    '{}',
    '{"keys":[]}',
    '{"keys":{}}',
    '{"keys":[{"use":"sig","kty":"EC"}]}',
    '{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}',
  ])('rejects %s', (text) => {
    expect(() => parseSpiffeBundle(text)).toThrow();
  });

  it('ignores symmetric keys', () => {
    const keys = [...JSON.parse(domain.bundle()).keys, { kty: 'oct', k: 'c2VjcmV0', use: 'jwt-svid', kid: 'x' }];
    expect(parseSpiffeBundle(JSON.stringify({ keys })).jwtAuthorities).toHaveLength(1);
  });
});
