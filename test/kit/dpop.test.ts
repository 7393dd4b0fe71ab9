// DPoP proofs (RFC 9449, section 4.3): claims and signatures. Invalid proofs are rejected without
// throwing.
import { createHash, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { type DpopRequest, verifyDpopProof } from '../../src/kit/dpop.js';
import { type ClientKey, dpop, makeKey } from '../support/client-keys.js';
import { forgedProof, rsaKey } from '../support/costly-credentials.js';

const TARGET_URL = 'https://api.example/v1/things';
const TOKEN = 'an access token';
const REQUEST: DpopRequest = { method: 'GET', url: TARGET_URL, accessToken: TOKEN };
const ath = createHash('sha256').update(TOKEN).digest('base64url');
const now = () => Math.floor(Date.now() / 1000);

let key: ClientKey;
beforeAll(async () => {
  key = await makeKey();
});

/** Signs a proof that is valid except for these claims; undefined removes a claim. */
function sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, privateKey = key.privateKey) {
  const all = { htm: 'GET', htu: TARGET_URL, ath, jti: randomUUID(), iat: now(), ...claims };
  return new SignJWT(all)
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: key.publicJwk, ...header } as never)
    .sign(privateKey);
}

const kindOf = async (proof: string, more: Partial<DpopRequest> = {}) =>
  (await verifyDpopProof(proof, { ...REQUEST, ...more })).kind;

describe('verifyDpopProof', () => {
  it('returns the key thumbprint, the id and the time of a proof', async () => {
    const proof = await dpop(key, { htm: 'GET', htu: TARGET_URL, jti: 'proof-1', accessToken: TOKEN });
    const verdict = await verifyDpopProof(proof, REQUEST);
    expect(verdict).toEqual({
      kind: 'valid',
      thumbprint: key.thumbprint,
      jti: 'proof-1',
      issuedAt: expect.any(Date),
    });
  });

  it('accepts each algorithm, and computes the thumbprint as in RFC 7638', async () => {
    for (const alg of ['ES256', 'RS256', 'PS256', 'Ed25519', 'EdDSA']) {
      const pair = await generateKeyPair(alg, { extractable: true });
      const jwk = { use: 'sig', ...(await exportJWK(pair.publicKey)), kid: 'key-1' }; // RFC 7638 ignores use and kid
      const verdict = await verifyDpopProof(await sign({}, { alg, jwk }, pair.privateKey), REQUEST);
      expect(verdict, alg).toMatchObject({ kind: 'valid', thumbprint: await calculateJwkThumbprint(jwk) });
    }
  });

  it('compares normalized URLs, without the query', async () => {
    for (const htu of [
      'HTTPS://API.example:443/v1/things',
      `${TARGET_URL}?a=b#c`,
      'https://api.example/v1/x/../things',
    ])
      expect(await kindOf(await sign({ htu })), htu).toBe('valid');
    expect(await kindOf(await sign(), { url: `${TARGET_URL}?page=2` })).toBe('valid');
  });

  it.each<[string, Record<string, unknown>]>([
    ['another method', { htm: 'POST' }],
    ['the method in lower case', { htm: 'get' }],
    ['no method', { htm: undefined }],
    ['another path', { htu: `${TARGET_URL}/1` }],
    ['another host', { htu: 'https://evil.example/v1/things' }],
    ['another scheme', { htu: TARGET_URL.replace('https', 'http') }],
    ['a user in front of the host', { htu: TARGET_URL.replace('//', '//user@') }],
    ['a path instead of a URL', { htu: '/v1/things' }],
    ['a list of URLs', { htu: [TARGET_URL] }],
    ['the hash of another token', { ath: createHash('sha256').update('another').digest('base64url') }],
    ['no token hash', { ath: undefined }],
    ['no jti', { jti: undefined }],
    ['an empty jti', { jti: '' }],
    ['a jti that is too long', { jti: 'x'.repeat(257) }],
    ['a number as jti', { jti: 1 }],
    ['a past iat', { iat: now() - 3600 }],
    ['a future iat', { iat: now() + 3600 }],
    ['no iat', { iat: undefined }],
    ['a past exp', { exp: now() - 60 }],
  ])('rejects a proof with %s', async (_description, claims) => {
    expect(await kindOf(await sign(claims))).toBe('invalid');
  });

  it('rejects a key that is missing, private, symmetric, or not the one that signed', async () => {
    const other = await makeKey();
    const privateJwk = await exportJWK(key.privateKey);
    for (const header of [
      { jwk: other.publicJwk },
      { jwk: privateJwk },
      { jwk: { ...key.publicJwk, d: '' } },
      { jwk: { ...key.publicJwk, d: null } },
      { jwk: { ...key.publicJwk, crv: 'P-384' } },
      { jwk: undefined, kid: 'key-1' },
      { jwk: null },
      { jwk: 'key' },
      { typ: 'JWT' },
      { typ: undefined },
    ]) {
      expect(await kindOf(await sign({}, header)), JSON.stringify(header)).toBe('invalid');
    }
    const secret = new TextEncoder().encode('a secret that both sides know, 1');
    const jwk = { kty: 'oct', k: Buffer.from(secret).toString('base64url') };
    expect(await kindOf(await sign({}, { alg: 'HS256', jwk }, secret as never))).toBe('invalid');
  });

  it.each([
    ['modulus', 16_384, 17, 'the proof is longer than 4096 characters'],
    ['modulus', 8200, 17, /^the RSA key of the proof can have at most 8192 bits/],
    ['exponent', 3072, 3072, /exponent of at most 32 bits$/],
  ])('does not verify with a key that has a large %s (%i, %i bits)', async (_, bits, exponentBits, reason) => {
    const verdict = await verifyDpopProof(forgedProof(rsaKey(bits, exponentBits), 'GET', TARGET_URL), REQUEST);
    expect(verdict).toEqual({ kind: 'invalid', reason: expect.stringMatching(reason) });
  });

  it('rejects a proof without a signature, or that is too long', async () => {
    const [header, payload, signature] = (await sign()).split('.') as [string, string, string];
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk }));
    for (const proof of [
      `${none.toString('base64url')}.${payload}.`,
      `${none.toString('base64url')}.${payload}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${header}.${payload}.${signature}.${signature}`,
    ]) {
      expect(await kindOf(proof)).toBe('invalid');
    }
    expect(await kindOf(await sign({ filler: 'x'.repeat(4000) }))).toBe('invalid');
  });

  it('requires a nonce if asked to, and reports it only for otherwise valid proofs', async () => {
    const isNonce = (nonce: string) => nonce === 'fresh';
    expect(await kindOf(await sign({ nonce: 'fresh' }), { isNonce })).toBe('valid');
    for (const nonce of ['stale', undefined, 1, ['fresh']])
      expect(await kindOf(await sign({ nonce }), { isNonce })).toBe('nonce');
    expect(await kindOf(await sign({ nonce: 'stale', htm: 'POST' }), { isNonce })).toBe('invalid');
  });

  it('never throws', async () => {
    const part = fc.oneof(
      fc.base64String(),
      fc.json().map((text) => Buffer.from(text).toString('base64url')),
      fc
        .record({ alg: fc.constantFrom('ES256', 'none', 'HS256'), typ: fc.constant('dpop+jwt'), jwk: fc.jsonValue() })
        .map((header) => Buffer.from(JSON.stringify(header)).toString('base64url')),
    );
    const proofs = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(part, { maxLength: 4 }).map((parts) => parts.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(proofs, async (proof) => (await kindOf(proof)) === 'invalid'),
      { numRuns: 100 },
    );
  });

  it('rejects a proof with a single changed character', async () => {
    const proof = await sign();
    const characters = fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+ ');
    await fc.assert(
      fc.asyncProperty(fc.nat(proof.length - 1), characters, fc.boolean(), async (at, character, insert) => {
        const mutated = proof.slice(0, at) + character + proof.slice(insert ? at : at + 1);
        return mutated === proof || (await kindOf(mutated)) === 'invalid';
      }),
      { numRuns: 150, examples: [...'ABCDEFGHIJKLMNOP'].map((character) => [proof.length - 1, character, false]) },
    );
  });
});
