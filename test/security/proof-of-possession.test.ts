// DPoP-bound access tokens at the JSON API (RFC 9449), and attacks with a token but without its
// key. The issuer differs from the address of the server, as behind a proxy: `htu` must match the
// issuer.

import { createHash, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { createSignedInAccount } from '../support/api.js';
import { type ClientKey, makeKey, tokenWithProof } from '../support/client-keys.js';
import { requestToken, type TestClient } from '../support/relying-party.js';
import { callApi, sendRequest, type Target, type TestResponse } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { concurrently } from '../support/token-family.js';

const ISSUER = 'https://id.example.com';
const STATUS = `${ISSUER}/api/v1/test-auth/auth-status`;
const STALE_MS = 4 * 60 * 1000;
const now = () => Math.floor(Date.now() / 1000);

describe.each(stores)('a DPoP-bound token for the JSON API on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  let machine: TestClient;
  let key: ClientKey;
  let accessToken: string;
  let nonce: string;

  const forApi = { grant_type: 'client_credentials', resource: `${ISSUER}/api/v1`, scope: 'memory:read' };

  beforeAll(async () => {
    const settings = { TEST_AUTH: 'true', TRUSTED_PROXIES: '127.0.0.1', ISSUER };
    server = await startServer({ store, settings });
    secondServer = await startServer({ sharedWith: server, settings });
    machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    key = await makeKey();
    const { status, body, headers } = await tokenWithProof(server, machine, key, forApi);
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    accessToken = body.access_token!;
    nonce = headers['dpop-nonce'] ?? (await getStatus({ authorization: `DPoP ${accessToken}` })).headers['dpop-nonce']!;
  });
  afterAll(async () => {
    await secondServer?.close();
    await server?.close();
  });

  const getStatus = (headers: Record<string, string | string[]>, target: Target = server) =>
    callApi(target, 'GET', '/test-auth/auth-status', { headers: headers as Record<string, string> });
  const ath = (text = accessToken) => createHash('sha256').update(text).digest('base64url');

  /** Signs a proof that is valid except for these claims; undefined removes one. */
  function signProof(claims: Record<string, unknown> = {}, signer = key, header: Record<string, unknown> = {}) {
    const all = { htm: 'GET', htu: STATUS, ath: ath(), jti: randomUUID(), iat: now(), nonce, ...claims };
    return new SignJWT(all)
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: signer.publicJwk, ...header } as never)
      .sign(signer.privateKey);
  }

  const present = (proof: string, target?: Target) =>
    getStatus({ authorization: `DPoP ${accessToken}`, dpop: proof }, target);

  function expectRejected(response: TestResponse, error: string) {
    expect([response.status, response.json.error]).toEqual([401, 'invalid_token']);
    expect(response.headers['www-authenticate']).toMatch(
      new RegExp(`^DPoP error="${error}", algs="ES256 .*resource_meta`),
    );
    expect(response.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/);
  }

  it('is accepted with a proof by all processes, which return the next nonce', async () => {
    for (const target of [server, secondServer]) {
      const response = await present(await signProof(), target);
      expect([response.status, response.json.principal]).toEqual([200, { type: 'agent', id: machine.id }]);
      expect(response.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/);
    }
  });

  it('shares its nonces with the token endpoint', async () => {
    const challenge = await getStatus({ authorization: `DPoP ${accessToken}` });
    const apiNonce = challenge.headers['dpop-nonce']!;
    const proof = await signProof({
      htm: 'POST',
      htu: `${ISSUER}/api/v1/oauth/token`,
      ath: undefined,
      nonce: apiNonce,
    });
    expect((await requestToken(server, machine, forApi, { headers: { dpop: proof } })).status).toBe(200);
  });

  it('is rejected as a bearer token, as an API key, in a cookie, and without a proof', async () => {
    const dpop = await signProof();
    expectRejected(await getStatus({ authorization: `Bearer ${accessToken}` }), 'invalid_token');
    expectRejected(await getStatus({ authorization: `Bearer ${accessToken}`, dpop }), 'invalid_token');
    expectRejected(await getStatus({ 'x-api-key': accessToken, dpop }), 'invalid_token');
    expectRejected(await getStatus({ cookie: `cap_access=${accessToken}`, dpop }), 'invalid_token');
    expectRejected(await getStatus({ authorization: `DPoP ${accessToken}` }), 'use_dpop_nonce');
    expect((await present(dpop)).status).toBe(200); // rejected requests did not consume the proof
  });

  it('needs a proof for each request, even if the token is cached', async () => {
    expect((await present(await signProof())).status).toBe(200);
    expectRejected(await getStatus({ authorization: `DPoP ${accessToken}` }), 'use_dpop_nonce');
    expectRejected(await getStatus({ authorization: `Bearer ${accessToken}` }), 'invalid_token');
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['another method', () => ({ htm: 'POST' })],
    ['another URI', () => ({ htu: `${ISSUER}/api/v1/auth/me` })],
    ['the internal address of the server', () => ({ htu: STATUS.replace(ISSUER, server.origin) })],
    ['another server', () => ({ htu: STATUS.replace(ISSUER, 'https://evil.example') })],
    ['another token', () => ({ ath: ath('another') })],
    ['no token hash', () => ({ ath: undefined })],
    ['no jti', () => ({ jti: undefined })],
    ['a past iat', () => ({ iat: now() - 3600 })],
    ['a future iat', () => ({ iat: now() + 3600 })],
  ])('is rejected with a proof with %s', async (_description, claims) => {
    expectRejected(await present(await signProof(claims())), 'invalid_dpop_proof');
  });

  it('ignores Host and forwarding headers when it checks htu', async () => {
    const dpop = await signProof({ htu: STATUS.replace(ISSUER, 'https://evil.example') });
    const forged = { 'x-forwarded-host': 'evil.example', host: 'evil.example', forwarded: 'host=evil.example' };
    expectRejected(await getStatus({ authorization: `DPoP ${accessToken}`, dpop, ...forged }), 'invalid_dpop_proof');
    expect((await getStatus({ authorization: `DPoP ${accessToken}`, dpop: await signProof(), ...forged })).status).toBe(
      200,
    );
  });

  it('requires a new nonce if the nonce is missing, forged or stale', async () => {
    expectRejected(await present(await signProof({ nonce: undefined })), 'use_dpop_nonce');
    expectRejected(await present(await signProof({ nonce: 'x'.repeat(43) })), 'use_dpop_nonce');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + STALE_MS });
    try {
      const stale = await present(await signProof());
      expectRejected(stale, 'use_dpop_nonce');
      expect((await present(await signProof({ nonce: stale.headers['dpop-nonce'] }))).status).toBe(200);
    } finally {
      vi.useRealTimers();
    }
  });

  it('accepts a proof once in all processes, even for 20 concurrent requests', async () => {
    const proof = await signProof();
    const responses = await concurrently(20, (n) => present(proof, n % 2 === 0 ? server : secondServer));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const response of responses.filter(({ status }) => status !== 200))
      expectRejected(response, 'invalid_dpop_proof');
    for (const target of [server, secondServer]) expectRejected(await present(proof, target), 'invalid_dpop_proof');
  });

  it('is rejected with another key, a private key in the proof, no signature, or two proofs', async () => {
    const otherKey = await makeKey();
    expectRejected(await present(await signProof({}, otherKey)), 'invalid_token');
    const unsigned = [
      { alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk },
      { htm: 'GET', htu: STATUS, ath: ath(), nonce },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const wrong = [
      await signProof({}, otherKey, { jwk: key.publicJwk }),
      await signProof({}, key, { typ: 'JWT' }),
      await signProof({}, key, { jwk: { ...key.publicJwk, d: 'AAAA' } }),
      await signProof({ filler: 'x'.repeat(9000) }),
      `${unsigned}.`,
      'garbage',
      'a.b.c',
    ];
    for (const proof of wrong) expectRejected(await present(proof), 'invalid_dpop_proof');
    const two = await getStatus({ authorization: `DPoP ${accessToken}`, dpop: [await signProof(), await signProof()] });
    expectRejected(two, 'invalid_dpop_proof');
  });

  describe('that a tool validates with /api/validate', () => {
    const TOOL_URL = 'https://tool.example/app/things';
    let bound: string;
    beforeAll(async () => {
      const admin = await server.account();
      const tool = { slug: 'tool', name: 'Tool', url: 'https://tool.example/app' };
      await server.core.tools.create(tool, admin.id, systemMeta);
      await server.core.tools.create({ slug: 'no-url', name: 'Without a URL' }, admin.id, systemMeta);
      const { body } = await tokenWithProof(server, machine, key, { ...forApi, scope: 'tools:validate' });
      bound = body.access_token!;
    });

    const validate = (body: object, headers: Record<string, string> = {}, target: Target = server) =>
      sendRequest(
        target,
        'POST',
        '/api/validate',
        { 'content-type': 'application/json', authorization: `DPoP ${bound}`, ...headers },
        JSON.stringify(body),
      );
    /** Builds the body with a proof that the tool received from its client. */
    const forward = async (claims: Record<string, unknown> = {}, more: object = {}, signer = key) => ({
      tool: 'tool',
      dpop: {
        proof: await signProof({ htu: TOOL_URL, nonce: undefined, ath: ath(bound), ...claims }, signer),
        htm: 'GET',
        htu: TOOL_URL,
        ...more,
      },
    });
    const expectInvalid = ({ status, json }: TestResponse) =>
      expect([status, json.valid, json.error]).toEqual([401, false, 'invalid_token']);

    it('is valid once in all processes with the proof that the client sent to the tool', async () => {
      for (const scheme of ['DPoP', 'Bearer']) {
        const body = await forward({ nonce: 'of-the-tool' });
        const response = await validate(body, { authorization: `${scheme} ${bound}` });
        expect(response.status, response.text).toBe(200);
        expect(response.json).toMatchObject({ valid: true, principal: { type: 'client', client_id: machine.id } });
        for (const target of [server, secondServer])
          expectInvalid(await validate(body, { authorization: `${scheme} ${bound}` }, target));
      }
    });

    it('is invalid without a proof, and with a proof for another request, by another key or of another time', async () => {
      const otherKey = await makeKey();
      for (const body of [
        { tool: 'tool' },
        {},
        await forward({ htm: 'POST' }),
        await forward({ htu: 'https://tool.example/app/other' }),
        await forward({ htu: `${ISSUER}/api/validate` }),
        await forward({ ath: ath('another') }),
        await forward({ iat: now() - 3600 }),
        await forward({}, {}, otherKey),
        await forward({}, { proof: 'garbage' }),
        await forward({}, { htm: 'POST' }),
      ]) {
        expectInvalid(await validate(body));
        expectInvalid(await validate(body, { authorization: `Bearer ${bound}` }));
      }
    });

    it('is rejected with a proof for a URL outside the tool', async () => {
      for (const htu of [
        'https://other.example/app/things',
        'http://tool.example/app/things',
        'https://tool.example/application',
        'https://tool.example/',
        'https://tool.example/app/../things',
        'https://tool.example/app/%2e%2e/things',
        'https://tool.example@other.example/app/things',
        'https://user@tool.example/app/things',
        'https://tool.example:8443/app/things',
        'nonsense',
      ]) {
        const response = await validate(await forward({ htu }, { htu }));
        expect([response.status, response.json.error], htu).toEqual([400, 'invalid_request']);
      }
      for (const tool of ['no-url', 'unknown', undefined]) {
        expect((await validate({ ...(await forward()), tool })).status).toBe(400);
      }
    });

    it('is valid with a proof of the owner of the key for the validation request', async () => {
      const dpop = await signProof({ htm: 'POST', htu: `${ISSUER}/api/validate`, ath: ath(bound) });
      expect((await validate({}, { dpop })).json.valid).toBe(true);
      expectInvalid(await validate({}, { dpop }));
    });
  });

  it('does not affect bearer tokens, which are rejected with the DPoP scheme', async () => {
    const { access_token: userToken } = await createSignedInAccount(server);
    const { body } = await requestToken(server, machine, forApi);
    for (const text of [userToken, body.access_token!]) {
      expect((await getStatus({ authorization: `Bearer ${text}` })).status).toBe(200);
      const response = await getStatus({ authorization: `DPoP ${text}`, dpop: await signProof({ ath: ath(text) }) });
      expect([response.status, response.json.error]).toEqual([401, 'invalid_token']);
      expect(
        (await getStatus({ authorization: `Bearer ${text}`, dpop: await signProof({ ath: ath(text) }) })).status,
      ).toBe(200);
    }
  });

  it('is not logged, and neither is its proof', async () => {
    const proof = await signProof();
    await present(proof);
    await present(proof);
    const log = [...server.lines, ...secondServer.lines].join('\n');
    for (const text of [proof, accessToken]) expect(log).not.toContain(text);
  });
});
