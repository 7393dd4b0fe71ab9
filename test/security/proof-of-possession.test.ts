// Tokens for our own API that are bound to a key (RFC 9449), and everything that somebody may try
// who has the token and not the key. The issuer is not where the house listens, as behind a proxy:
// it decides what a proof must be for.

import { createHash, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
import { createSignedInAccount } from '../support/api.js';
import { type ClientKey, makeKey, tokenWithProof } from '../support/client-keys.js';
import { requestToken, type TestClient } from '../support/relying-party.js';
import { callApi, sendRequest as raw, type Target, type TestResponse } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';
import { concurrently } from '../support/token-family.js';

const ISSUER = 'https://id.example.com';
const STATUS = `${ISSUER}/api/v1/test-auth/auth-status`;
const STALE_MS = 4 * 60 * 1000;
const now = () => Math.floor(Date.now() / 1000);

describe.each(stores)('a token for our API that is bound to a key, on $name', (store) => {
  let server: TestServer;
  let beside: TestServer;
  let machine: TestClient;
  let key: ClientKey;
  let accessToken: string;
  let nonce: string;

  const forApi = { grant_type: 'client_credentials', resource: `${ISSUER}/api/v1`, scope: 'memory:read' };

  beforeAll(async () => {
    const settings = { TEST_AUTH: 'true', TRUSTED_PROXIES: '127.0.0.1', ISSUER };
    server = await startServer({ store, settings });
    beside = await startServer({ sharedWith: server, settings });
    machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    key = await makeKey();
    const { status, body, headers } = await tokenWithProof(server, machine, key, forApi);
    expect([status, body.token_type]).toEqual([200, 'DPoP']);
    accessToken = body.access_token!;
    nonce = headers['dpop-nonce'] ?? (await ask({ authorization: `DPoP ${accessToken}` })).headers['dpop-nonce']!;
  });
  afterAll(async () => {
    await beside?.close();
    await server?.close();
  });

  const ask = (headers: Record<string, string | string[]>, at: Target = server) =>
    callApi(at, 'GET', '/test-auth/auth-status', { headers: headers as Record<string, string> });
  const ath = (text = accessToken) => createHash('sha256').update(text).digest('base64url');

  /** A proof that is right but for what is given; undefined takes a claim away. */
  function prove(claims: Record<string, unknown> = {}, by = key, header: Record<string, unknown> = {}) {
    const all = { htm: 'GET', htu: STATUS, ath: ath(), jti: randomUUID(), iat: now(), nonce, ...claims };
    return new SignJWT(all)
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: by.publicJwk, ...header } as never)
      .sign(by.privateKey);
  }

  const present = (proof: string, at?: Target) => ask({ authorization: `DPoP ${accessToken}`, dpop: proof }, at);

  function expectRefused(answer: TestResponse, error: string) {
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token']);
    expect(answer.headers['www-authenticate']).toMatch(
      new RegExp(`^DPoP error="${error}", algs="ES256 .*resource_meta`),
    );
    expect(answer.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/);
  }

  it('is good with a proof for this very request, in each process, and gets the next nonce with the answer', async () => {
    for (const at of [server, beside]) {
      const answer = await present(await prove(), at);
      expect([answer.status, answer.json.principal]).toEqual([200, { type: 'agent', id: machine.id }]);
      expect(answer.headers['dpop-nonce']).toMatch(/^[\w-]{43}$/);
    }
  });

  it('takes a nonce of the token endpoint, and the token endpoint one of the API', async () => {
    const asked = await ask({ authorization: `DPoP ${accessToken}` });
    const ofApi = asked.headers['dpop-nonce']!;
    const proof = await prove({ htm: 'POST', htu: `${ISSUER}/api/v1/oauth/token`, ath: undefined, nonce: ofApi });
    expect((await requestToken(server, machine, forApi, { headers: { dpop: proof } })).status).toBe(200);
  });

  it('is worth nothing as a bearer token, as a key, in a cookie, or without a proof', async () => {
    const dpop = await prove();
    expectRefused(await ask({ authorization: `Bearer ${accessToken}` }), 'invalid_token');
    expectRefused(await ask({ authorization: `Bearer ${accessToken}`, dpop }), 'invalid_token');
    expectRefused(await ask({ 'x-api-key': accessToken, dpop }), 'invalid_token');
    expectRefused(await ask({ cookie: `cap_access=${accessToken}`, dpop }), 'invalid_token');
    expectRefused(await ask({ authorization: `DPoP ${accessToken}` }), 'use_dpop_nonce');
    expect((await present(dpop)).status).toBe(200); // none of these used it up
  });

  it('is asked for its proof each time, however well known it is', async () => {
    expect((await present(await prove())).status).toBe(200);
    expectRefused(await ask({ authorization: `DPoP ${accessToken}` }), 'use_dpop_nonce');
    expectRefused(await ask({ authorization: `Bearer ${accessToken}` }), 'invalid_token');
  });

  it.each<[string, () => Record<string, unknown>]>([
    ['another method', () => ({ htm: 'POST' })],
    ['another address', () => ({ htu: `${ISSUER}/api/v1/auth/me` })],
    ['the address where the house listens', () => ({ htu: STATUS.replace(ISSUER, server.origin) })],
    ['another server', () => ({ htu: STATUS.replace(ISSUER, 'https://evil.example') })],
    ['another token', () => ({ ath: ath('another') })],
    ['no token', () => ({ ath: undefined })],
    ['no id', () => ({ jti: undefined })],
    ['an old time', () => ({ iat: now() - 3600 })],
    ['a time to come', () => ({ iat: now() + 3600 })],
  ])('is refused with a proof for %s', async (_what, claims) => {
    expectRefused(await present(await prove(claims())), 'invalid_dpop_proof');
  });

  it('does not let the headers of a stranger say what a proof is for', async () => {
    const dpop = await prove({ htu: STATUS.replace(ISSUER, 'https://evil.example') });
    const forged = { 'x-forwarded-host': 'evil.example', host: 'evil.example', forwarded: 'host=evil.example' };
    expectRefused(await ask({ authorization: `DPoP ${accessToken}`, dpop, ...forged }), 'invalid_dpop_proof');
    expect((await ask({ authorization: `DPoP ${accessToken}`, dpop: await prove(), ...forged })).status).toBe(200);
  });

  it('asks again for a nonce that is missing, made up or too old, and is content with the new one', async () => {
    expectRefused(await present(await prove({ nonce: undefined })), 'use_dpop_nonce');
    expectRefused(await present(await prove({ nonce: 'x'.repeat(43) })), 'use_dpop_nonce');
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + STALE_MS });
    try {
      const stale = await present(await prove());
      expectRefused(stale, 'use_dpop_nonce');
      expect((await present(await prove({ nonce: stale.headers['dpop-nonce'] }))).status).toBe(200);
    } finally {
      vi.useRealTimers();
    }
  });

  it('takes one of 20 proofs with the same id, whichever process they come to', async () => {
    const proof = await prove();
    const answers = await concurrently(20, (n) => present(proof, n % 2 === 0 ? server : beside));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers.filter(({ status }) => status !== 200)) expectRefused(answer, 'invalid_dpop_proof');
    for (const at of [server, beside]) expectRefused(await present(proof, at), 'invalid_dpop_proof');
  });

  it('is refused with the key of another, with a key in the clear, unsigned, too long, or with two proofs', async () => {
    const thief = await makeKey();
    expectRefused(await present(await prove({}, thief)), 'invalid_token');
    const unsigned = [
      { alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk },
      { htm: 'GET', htu: STATUS, ath: ath(), nonce },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const wrong = [
      await prove({}, thief, { jwk: key.publicJwk }),
      await prove({}, key, { typ: 'JWT' }),
      await prove({}, key, { jwk: { ...key.publicJwk, d: 'AAAA' } }),
      await prove({ filler: 'x'.repeat(9000) }),
      `${unsigned}.`,
      'garbage',
      'a.b.c',
    ];
    for (const proof of wrong) expectRefused(await present(proof), 'invalid_dpop_proof');
    const two = await ask({ authorization: `DPoP ${accessToken}`, dpop: [await prove(), await prove()] });
    expectRefused(two, 'invalid_dpop_proof');
  });

  describe('that a tool asks about (/api/validate)', () => {
    const VISITED = 'https://tool.example/app/things';
    let bound: string;
    beforeAll(async () => {
      const admin = await server.account();
      const tool = { slug: 'tool', name: 'Tool', url: 'https://tool.example/app' };
      await server.core.tools.create(tool, admin.id, systemMeta);
      await server.core.tools.create({ slug: 'nowhere', name: 'Without a URL' }, admin.id, systemMeta);
      const asked = await tokenWithProof(server, machine, key, { ...forApi, scope: 'tools:validate' });
      bound = asked.body.access_token!;
    });

    const validate = (body: object, headers: Record<string, string> = {}, at: Target = server) =>
      raw(
        at,
        'POST',
        '/api/validate',
        { 'content-type': 'application/json', authorization: `DPoP ${bound}`, ...headers },
        JSON.stringify(body),
      );
    const forward = (claims: Record<string, unknown> = {}, by = key) =>
      prove({ htu: VISITED, nonce: undefined, ath: ath(bound), ...claims }, by);
    const question = async (claims?: Record<string, unknown>, more: object = {}, by = key) => ({
      tool: 'tool',
      dpop: { proof: await forward(claims, by), htm: 'GET', htu: VISITED, ...more },
    });
    const expectNotValid = ({ status, json }: TestResponse) =>
      expect([status, json.valid, json.error]).toEqual([401, false, 'invalid_token']);

    it('is valid with the proof that the visitor sent to the tool, once in all processes', async () => {
      for (const scheme of ['DPoP', 'Bearer']) {
        const asked = await question({ nonce: 'of the tool' });
        const answer = await validate(asked, { authorization: `${scheme} ${bound}` });
        expect(answer.status, answer.text).toBe(200);
        expect(answer.json).toMatchObject({ valid: true, principal: { type: 'client', client_id: machine.id } });
        for (const at of [server, beside])
          expectNotValid(await validate(asked, { authorization: `${scheme} ${bound}` }, at));
      }
    });

    it('is not valid without a proof, nor with one for something else, of somebody else, or not of now', async () => {
      const thief = await makeKey();
      for (const asked of [
        { tool: 'tool' },
        {},
        await question({ htm: 'POST' }),
        await question({ htu: 'https://tool.example/app/other' }),
        await question({ htu: `${ISSUER}/api/validate` }),
        await question({ ath: ath('another') }),
        await question({ iat: now() - 3600 }),
        await question({}, {}, thief),
        await question({}, { proof: 'garbage' }),
        await question({}, { htm: 'POST' }),
      ]) {
        expectNotValid(await validate(asked));
        expectNotValid(await validate(asked, { authorization: `Bearer ${bound}` }));
      }
    });

    it('takes from a tool no proof that was made for another place', async () => {
      for (const htu of [
        'https://other.example/app/things',
        'http://tool.example/app/things',
        'https://tool.example/application',
        'https://tool.example/',
        'https://tool.example/app/../things',
        'https://tool.example/app/%2e%2e/things',
        'https://tool.example@other.example/app/things',
        'https://somebody@tool.example/app/things',
        'https://tool.example:8443/app/things',
        'nonsense',
      ]) {
        const answer = await validate(await question({ htu }, { htu }));
        expect([answer.status, answer.json.error], htu).toEqual([400, 'invalid_request']);
      }
      for (const tool of ['nowhere', 'unknown', undefined]) {
        expect((await validate({ ...(await question()), tool })).status).toBe(400);
      }
    });

    it('may be asked about by whoever has the key, with a proof for that very question', async () => {
      const dpop = await prove({ htm: 'POST', htu: `${ISSUER}/api/validate`, ath: ath(bound) });
      expect((await validate({}, { dpop })).json.valid).toBe(true);
      expectNotValid(await validate({}, { dpop }));
    });
  });

  it('leaves what is bound to no key alone: it is a bearer token, and nothing else', async () => {
    const { access_token: login } = await createSignedInAccount(server);
    const { body } = await requestToken(server, machine, forApi);
    for (const text of [login, body.access_token!]) {
      expect((await ask({ authorization: `Bearer ${text}` })).status).toBe(200);
      const answer = await ask({ authorization: `DPoP ${text}`, dpop: await prove({ ath: ath(text) }) });
      expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token']);
      expect((await ask({ authorization: `Bearer ${text}`, dpop: await prove({ ath: ath(text) }) })).status).toBe(200);
    }
  });

  it('writes neither token nor proof into the log', async () => {
    const proof = await prove();
    await present(proof);
    await present(proof);
    const log = [...server.lines, ...beside.lines].join('\n');
    for (const text of [proof, accessToken]) expect(log).not.toContain(text);
  });
});
