// Proof of possession in the kit (RFC 9449): nonces, replays and bound API keys.
import fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type BoundRequest,
  createAuthMiddleware,
  createDpopNonces,
  createMemoryReplayStore,
  type DpopOptions,
  generateApiKey,
  verifyDpop,
} from '../../src/kit/index.js';
import { type ClientKey, dpop, makeKey } from '../support/client-keys.js';
import { mutations } from './mutations.js';

const TARGET_URL = 'https://api.example.com/tickets';
const request: BoundRequest = { method: 'POST', url: TARGET_URL, accessToken: 'some-token' };
const validProof = { htm: 'POST', htu: TARGET_URL, accessToken: 'some-token' };

let key: ClientKey;
beforeAll(async () => {
  key = await makeKey();
});

const fresh = (options: Partial<DpopOptions> = {}): DpopOptions => ({ replays: createMemoryReplayStore(), ...options });

describe('verifyDpop', () => {
  it('accepts a proof for its request, and returns the key thumbprint', async () => {
    const proof = await dpop(key, validProof);
    expect(await verifyDpop(proof, { ...request, boundTo: key.thumbprint }, fresh())).toEqual({
      ok: true,
      jkt: key.thumbprint,
    });
  });

  it('accepts a proof once, also of twenty concurrent requests', async () => {
    const [options, proof] = [fresh(), await dpop(key, validProof)];
    const results = await Promise.all(Array.from({ length: 20 }, () => verifyDpop(proof, request, options)));
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
  });

  it.each([
    ['another method', { htm: 'GET' }],
    ['a method in lower case', { htm: 'post' }],
    ['another path', { htu: `${TARGET_URL}/1` }],
    ['another host', { htu: 'https://evil.example/tickets' }],
    ['another scheme', { htu: 'http://api.example.com/tickets' }],
    ['no URL', { htu: 'tickets' }],
    ['another token', { accessToken: 'another' }],
    ['no token', { accessToken: undefined }],
    ['no jti', { jti: '' }],
    ['a jti that is too long', { jti: 'x'.repeat(1000) }],
  ])('rejects a proof for %s', async (_, other) => {
    const proof = await sign(key, {
      ...(await claimsOf(validProof)),
      ...other,
      ath: undefined,
      ...(await athOf(other)),
    });
    expect(await verifyDpop(proof, request, fresh())).toMatchObject({ ok: false, error: 'invalid_dpop_proof' });
  });

  it.each(['https://API.example.com:443/tickets', `${TARGET_URL}?q=1#x`, 'https://api.example.com/./tickets'])(
    'accepts the URL in the form %s',
    async (htu) => {
      expect((await verifyDpop(await dpop(key, { ...validProof, htu }), request, fresh())).ok).toBe(true);
    },
  );

  it('rejects a proof that is too old or from the future', async () => {
    const proof = await dpop(key, validProof);
    for (const [later, ok] of [
      [-62, false],
      [-58, true],
      [58, true],
      [62, false],
    ] as const) {
      const now = () => Date.now() + later * 1000;
      expect((await verifyDpop(proof, request, fresh({ now }))).ok, String(later)).toBe(ok);
    }
  });

  it('rejects a proof of another key than the token is bound to', async () => {
    const otherKey = await makeKey();
    const result = await verifyDpop(await dpop(otherKey, validProof), { ...request, boundTo: key.thumbprint }, fresh());
    expect(result).toMatchObject({ ok: false, error: 'invalid_dpop_proof' });
  });

  it('rejects a private key, another type, a symmetric key and a signature by another key', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    const [secret, other] = [await exportJWK(pair.privateKey), await makeKey()];
    const claims = await claimsOf(validProof);
    const invalid = [
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: secret })
        .sign(pair.privateKey),
      await sign(key, claims, { typ: 'JWT' }),
      await sign(key, claims, { typ: undefined }),
      await sign(key, claims, { jwk: undefined }),
      await sign(key, claims, { jwk: other.publicJwk }),
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'c2VjcmV0' } as never })
        .sign(new TextEncoder().encode('s'.repeat(32))),
    ];
    for (const proof of invalid) expect((await verifyDpop(proof, request, fresh())).ok, proof).toBe(false);
  });

  it('rejects any mutation, and never throws', async () => {
    const proof = await dpop(key, validProof);
    await fc.assert(
      fc.asyncProperty(mutations(proof), async (other) => !(await verifyDpop(other, request, fresh())).ok),
      { numRuns: 300 },
    );
    await fc.assert(
      fc.asyncProperty(fc.anything(), async (other) => !(await verifyDpop(other as string, request, fresh())).ok),
    );
    const anyClaims = fc.dictionary(fc.constantFrom('htm', 'htu', 'iat', 'jti', 'ath', 'nonce'), fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(anyClaims, async (claims) => {
        return !(await verifyDpop(await sign(key, claims as Record<string, unknown>), request, fresh())).ok;
      }),
      { numRuns: 50 },
    );
  });
});

describe('DPoP nonces', () => {
  const secret = 'a secret';

  it('are required, and accepted for their time by every process with the secret', async () => {
    let time = Date.now();
    const now = () => time;
    const nonces = createDpopNonces({ secret, now });
    const nonce = createDpopNonces({ secret, now }).current();
    expect(await verifyDpop(await dpop(key, validProof), request, fresh({ nonces }))).toMatchObject({
      error: 'use_dpop_nonce',
    });
    expect((await verifyDpop(await dpop(key, { ...validProof, nonce }), request, fresh({ nonces }))).ok).toBe(true);
    time += 60_000;
    expect(nonces.accepts(nonce)).toBe(true);
    time += 60_000;
    expect(nonces.accepts(nonce)).toBe(false);
  });

  it('cannot be forged', () => {
    const nonces = createDpopNonces({ secret });
    expect(nonces.accepts(createDpopNonces({ secret: 'another' }).current())).toBe(false);
    fc.assert(fc.property(mutations(nonces.current()), (other) => !nonces.accepts(other)));
  });
});

describe('the replay store', () => {
  it('is bounded, and rejects new ids instead of forgetting valid ones', () => {
    let time = 0;
    const replays = createMemoryReplayStore({ maxEntries: 2, now: () => time });
    const used = ['a', 'b', 'a', 'c'].map((id) => replays.firstUse(id, new Date(1000)));
    expect(used).toEqual([true, true, false, false]);
    time = 2000;
    expect(replays.firstUse('c', new Date(3000))).toBe(true);
  });

  it('accepts no proof while it is full, and no used one', async () => {
    let time = Date.now();
    const now = () => time;
    const options = { replays: createMemoryReplayStore({ maxEntries: 3, now }), now };
    const isAccepted = async (proof: string) => (await verifyDpop(proof, request, options)).ok;
    const [first, ...others] = await Promise.all(Array.from({ length: 8 }, () => dpop(key, validProof)));
    const accepted = [];
    for (const proof of [first!, ...others]) accepted.push(await isAccepted(proof));
    expect(accepted).toEqual([true, true, true, ...Array(5).fill(false)]);
    expect(await isAccepted(first!)).toBe(false);
    expect(await isAccepted(await dpop(await makeKey(), validProof))).toBe(false); // a full store rejects all callers
    time += 59_000;
    expect(await isAccepted(first!)).toBe(false);
  });
});

describe('a service that requires proofs', () => {
  const url = 'http://10.0.0.7/tickets';
  const { key: apiKey, hash, prefix } = generateApiKey();
  const agent = { id: 'a1', name: 'Bot', apiKeyHash: hash, apiKeyPrefix: prefix, permissions: ['ticket:read'] };
  const resolveWith = (jkt?: string, requiresDpop = true) =>
    createAuthMiddleware(
      { session: { secret: 's', dpop: requiresDpop }, origin: 'https://api.example.com' },
      { findAgentByKeyPrefix: async () => ({ ...agent, jkt }) },
    );
  const send = (proof?: string) =>
    new Request(url, { method: 'POST', headers: { authorization: `DPoP ${apiKey}`, ...(proof && { dpop: proof }) } });

  it('responds with 401 and a nonce, and accepts a proof with it once', async () => {
    const resolve = resolveWith(key.thumbprint);
    const first = await resolve(send());
    expect(first).toEqual({ type: 'anonymous', isAuthenticated: false });
    const { error } = first as Extract<typeof first, { type: 'anonymous' }>;
    expect(error).toMatchObject({ status: 401, headers: { 'WWW-Authenticate': expect.stringMatching(/^DPoP /) } });
    const nonce = error!.headers['DPoP-Nonce'];
    const proof = await dpop(key, { htm: 'POST', htu: TARGET_URL, accessToken: apiKey, nonce });
    expect(await resolve(send(proof))).toMatchObject({ type: 'agent', agentId: 'a1', jkt: key.thumbprint });
    expect(await resolve(send(proof))).toMatchObject({ type: 'anonymous' });
  });

  it('requires a proof for a bound key even if proofs are optional', async () => {
    const resolve = resolveWith(key.thumbprint, false);
    expect((await resolve(send())).type).toBe('anonymous');
    const nonce = ((await resolve(send())) as { error?: { headers: Record<string, string> } }).error!.headers[
      'DPoP-Nonce'
    ];
    const proof = (signer: ClientKey) => dpop(signer, { htm: 'POST', htu: TARGET_URL, accessToken: apiKey, nonce });
    expect((await resolve(send(await proof(await makeKey())))).type).toBe('anonymous');
    expect((await resolve(send(await proof(key)))).type).toBe('agent');
  });
});

async function claimsOf(proof: Parameters<typeof dpop>[1]): Promise<Record<string, unknown>> {
  return JSON.parse(Buffer.from((await dpop(key, proof)).split('.')[1]!, 'base64url').toString());
}

async function athOf(other: object) {
  const accessToken = 'accessToken' in other ? (other.accessToken as string | undefined) : validProof.accessToken;
  const { ath } = await claimsOf({ ...validProof, accessToken });
  return ath ? { ath } : {};
}

function sign(
  { privateKey, publicJwk }: ClientKey,
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
) {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk, ...header })
    .sign(privateKey);
}
