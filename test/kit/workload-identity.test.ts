// Authentication of workloads: by a certificate that a proxy passed on, or by a token of their
// trust domain.
import fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { createAuthMiddleware, createWorkloadVerifier } from '../../src/kit/index.js';
import { CLIENT_AUTH, extension, issue, SERVER_AUTH, tlv } from '../support/workloads.js';
import { ca, leaf, otherDomain, twoIds, withoutId } from './certificates.js';

const now = () => Date.UTC(2030, 0, 1);
const BILLING = 'spiffe://example.org/billing';
const options = { trustDomain: 'example.org', trustedDomains: ['partner.com'], fromTrustedPeer: true, now };
const escaped = encodeURIComponent(leaf);

const requestWith = (value: string, name = 'X-Client-Cert') =>
  new Request('https://api.example.com/', { headers: { [name]: value } });
const base64 = (pem: string) => pem.replace(/-----.*?-----|\s/g, '');

describe('a certificate header', () => {
  const { fromRequest } = createWorkloadVerifier(options);

  it.each([
    ['percent-encoded PEM', escaped],
    ['PEM on one line', leaf.replaceAll('\n', ' ')],
    ['Base64', base64(leaf)],
    ['a byte sequence (RFC 9440)', `:${base64(leaf)}:`],
  ])('is accepted as %s', (_, value) => {
    expect(fromRequest(requestWith(value))?.id).toBe(BILLING);
  });

  it.each(Object.entries({ ca, twoIds, otherDomain, withoutId }))('is rejected with the certificate %s', (_, pem) => {
    expect(fromRequest(requestWith(encodeURIComponent(pem)))).toBeNull();
  });

  it('is rejected if it is for servers only', () => {
    const verify = (...extendedKeyUsage: string[]) =>
      fromRequest(requestWith(encodeURIComponent(issue(undefined, { uris: [BILLING], to, extendedKeyUsage }).pem)));
    const to = new Date('2031-01-01');
    expect(verify(SERVER_AUTH)).toBeNull();
    expect(verify(SERVER_AUTH, CLIENT_AUTH)?.id).toBe(BILLING);
  });

  it('is accepted only in its validity period', () => {
    for (const year of [2020, 2130]) {
      const verifier = createWorkloadVerifier({ ...options, now: () => Date.UTC(year, 0, 1) });
      expect(verifier.fromRequest(requestWith(escaped))).toBeNull();
    }
  });

  it('is rejected with a malformed validity period', () => {
    const names = tlv(0x30, tlv(0x86, Buffer.from(BILLING)));
    const extensions = tlv(0xa3, tlv(0x30, extension('551d11', false, names)));
    const certificate = (...times: Buffer[]) =>
      tlv(0x30, tlv(0x30, ...Array(3).fill(tlv(0x30)), tlv(0x30, ...times), extensions)).toString('base64');
    const [from, to] = ['260101000000Z', '360101000000Z'].map((text) => tlv(0x17, Buffer.from(text))) as [
      Buffer,
      Buffer,
    ];
    expect(fromRequest(requestWith(certificate(from, to)))?.id).toBe(BILLING);
    for (const times of [[], [from], [from, to, to]])
      expect(fromRequest(requestWith(certificate(...times)))).toBeNull();
  });

  it('is ignored unless the peer is trusted', () => {
    const { fromTrustedPeer: _, ...untrusted } = options;
    expect(createWorkloadVerifier(untrusted).fromRequest(requestWith(escaped))).toBeNull();
    const { fromRequest: byPeer } = createWorkloadVerifier({
      ...options,
      fromTrustedPeer: ({ peer }) => peer === '10.0.0.1',
    });
    const from = (peer: string) =>
      byPeer({
        ...requestWith(escaped),
        headers: requestWith(escaped).headers,
        method: 'GET',
        url: 'https://x.y/',
        peer,
      });
    expect(from('10.0.0.1')?.id).toBe(BILLING);
    expect(from('203.0.113.9')).toBeNull();
  });

  it('can have another name', () => {
    const { fromRequest } = createWorkloadVerifier({ ...options, certHeader: 'Client-Cert' });
    expect(fromRequest(requestWith(escaped, 'Client-Cert'))?.id).toBe(BILLING);
    expect(fromRequest(requestWith(escaped))).toBeNull();
  });

  it('authenticates its workload as an agent', async () => {
    const permissionsOf = (id: string) => (id === BILLING ? ['invoice:read'] : []);
    const resolve = createAuthMiddleware({ session: { secret: 's' }, workloadIdentity: { ...options, permissionsOf } });
    const agent = {
      type: 'agent',
      isAuthenticated: true,
      agentId: BILLING,
      permissions: ['invoice:read'],
      via: 'workload',
    };
    expect(await resolve(requestWith(escaped))).toEqual(agent);
  });

  it('never throws', () => {
    const der = Buffer.from(base64(leaf), 'base64');
    const bytes = fc.tuple(fc.nat(der.length - 1), fc.nat(255)).map(([at, byte]) => {
      const changed = Buffer.from(der);
      changed[at] = byte;
      return changed.toString('base64');
    });
    const ids = [BILLING, undefined];
    const isExpected = (value: string) => {
      const found = fromRequest({ method: 'GET', url: 'https://x.y/', headers: { get: () => value } });
      return ids.includes(found?.id) || found?.trustDomain === 'example.org';
    };
    fc.assert(fc.property(fc.oneof(bytes, fc.string(), fc.base64String()), isExpected), { numRuns: 1000 });
    const cut = fc.nat(der.length - 1).map((n) => der.subarray(0, n).toString('base64'));
    fc.assert(
      fc.property(
        cut,
        (value) => fromRequest({ method: 'GET', url: 'https://x.y/', headers: { get: () => value } }) === null,
      ),
    );
  });
});

describe('a workload token', async () => {
  const [ownKeys, partnerKeys] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
  const bundle = async (key: CryptoKey) => ({ keys: [{ ...(await exportJWK(key)), kid: 'k', use: 'jwt-svid' }] });
  const bundles = {
    'example.org': await bundle(ownKeys.publicKey),
    'partner.com': await bundle(partnerKeys.publicKey),
  };
  const { verifyToken } = createWorkloadVerifier({
    trustDomain: 'example.org',
    trustedDomains: ['partner.com'],
    bundles,
  });
  const sign = (claims: Record<string, unknown>, key = ownKeys.privateKey) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT' }).sign(key);
  const exp = Math.floor(Date.now() / 1000) + 60;
  const claims = { sub: BILLING, aud: 'api', exp };

  it('is accepted with the keys of its own trust domain, for its audience', async () => {
    expect((await verifyToken(await sign(claims), 'api'))?.id).toBe(BILLING);
    const partner = { ...claims, sub: 'spiffe://partner.com/bot' };
    expect((await verifyToken(await sign(partner, partnerKeys.privateKey), 'api'))?.trustDomain).toBe('partner.com');
  });

  it('is rejected for another audience, with a wrong key, expired or malformed', async () => {
    const invalid = [
      await sign(claims, partnerKeys.privateKey), // a partner that claims to be our workload
      await sign({ ...claims, aud: 'other' }),
      await sign({ ...claims, exp: exp - 120 }),
      await sign({ sub: BILLING, aud: 'api' }),
      await sign({ ...claims, sub: 'spiffe://evil.example/x' }),
      await sign({ ...claims, sub: 'billing' }),
      'a.b.c',
      '',
    ];
    for (const token of invalid) expect(await verifyToken(token, 'api'), token).toBeNull();
  });
});
