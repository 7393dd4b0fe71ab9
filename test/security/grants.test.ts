// RFC 9700, grants: numbers 21 to 24 of the checklist. Of 24, certificates (tls_client_auth) are
// not built: they are not advertised, and a test here holds that a header which claims one is
// nothing. Of 23, a secret is taken in the header and in the body alike, whichever of the two the
// client registered: OAuth 2.1 wants the body to work, and it is the same secret.

import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { assertion, type ClientKey, makeKey } from '../support/client-keys.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, requestToken, type TestClient } from '../support/relying-party.js';
import { basicAuth, postForm, sendRequest } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { openTokenFamily } from '../support/token-family.js';

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };
const BY_JWT = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

describe('grants', () => {
  let server: TestServer;
  let client: TestClient;
  let email: string;
  let metadata: Record<string, unknown>;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
    ({ email } = await server.account());
    metadata = (await sendRequest(server, 'GET', '/.well-known/openid-configuration')).json;
  });
  afterAll(() => server.close());

  it.each(['token', 'id_token', 'id_token token', 'code token', 'code id_token', 'code id_token token', 'none'])(
    '21. response_type=%s is refused',
    async (responseType) => {
      expect(metadata.response_types_supported).toEqual(['code']);
      const browser = new Browser(server.origin);
      await browser.signIn(email, PASSWORD);
      const { url } = await browser.open(
        authorizeUrl(server, client, pkce().challenge, { response_type: responseType }),
      );
      expect(url.href).toMatch(/[?#]error=(unsupported_response_type|unauthorized_client|invalid_request)&/);
      expect(url.href).not.toMatch(/access_token|id_token=|[?#&]code=/);
    },
  );

  it('22. the password grant is refused and not advertised, and nothing can be learned of the password', async () => {
    expect(metadata.grant_types_supported).not.toContain('password');
    expect(metadata.grant_types_supported).not.toContain('implicit');
    const app = await registerDynamically(server);
    const params = { grant_type: 'password', username: email, scope: 'openid' };
    for (const from of [client, app]) {
      const right = await requestToken(server, from, { ...params, password: PASSWORD });
      const wrong = await requestToken(server, from, { ...params, password: 'a wrong password' });
      expect([right.status, right.body.error]).toEqual([400, 'unsupported_grant_type']);
      expect(right.body).toEqual(wrong.body);
    }
  });

  describe('23. a confidential client proves who it is', () => {
    const ENDPOINTS: [string, Record<string, string>][] = [
      ['/api/v1/oauth/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
      ['/oauth/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
      ['/oauth/par', { response_type: 'code', scope: 'openid' }],
      ['/oauth/revoke', { token: 'x' }],
      ['/oauth/introspect', { token: 'x' }],
      ['/oauth/device', { scope: 'openid' }],
    ];

    it.each(ENDPOINTS)('at %s', async (path, params) => {
      const jwks = { keys: [{ ...(await makeKey()).publicJwk, use: 'sig', alg: 'ES256' }] };
      const keyed = await server.client({ token_endpoint_auth_method: 'private_key_jwt', jwks });
      const other = await server.client();
      const tries: [string, Record<string, string>, Record<string, string>][] = [
        ['nothing', {}, {}],
        ['its name alone', { client_id: client.id }, {}],
        ['a wrong secret', {}, { authorization: basicAuth({ ...client, secret: 'wrong' }) }],
        ['an empty secret', {}, { authorization: basicAuth({ ...client, secret: '' }) }],
        ['the secret of another', {}, { authorization: basicAuth({ ...client, secret: other.secret }) }],
        ['the stored hash', {}, { authorization: basicAuth({ ...client, secret: await hashOf(client) }) }],
        [
          'a secret that a client without one made up',
          {},
          { authorization: basicAuth({ ...keyed, secret: 'anything' }) },
        ],
        ['the same in the body', { client_id: keyed.id, client_secret: 'anything' }, {}],
        ['a name that is not there', {}, { authorization: basicAuth({ ...client, id: randomUUID() }) }],
        ['something that is not Basic', {}, { authorization: `Bearer ${client.secret}` }],
        ['a name with nothing behind it', {}, { authorization: 'Basic' }],
        ['two names', { client_id: other.id }, { authorization: basicAuth(client) }],
        ['an empty assertion', { client_id: client.id, client_assertion_type: BY_JWT, client_assertion: '' }, {}],
      ];
      for (const [what, more, headers] of tries) {
        const answer = await postForm(server, path, { ...params, ...more }, { headers });
        expect([400, 401], `${what}: ${answer.text}`).toContain(answer.status);
        expect(['invalid_client', 'invalid_request'], what).toContain(answer.json.error);
        expect(answer.text, what).not.toMatch(/active|access_token|request_uri|user_code/);
      }
      const right = await postForm(server, path, params, { client });
      expect(right.json.error).not.toBe('invalid_client');
    });

    async function hashOf({ id }: TestClient): Promise<string> {
      const row = await server.base.db.client.findUniqueOrThrow({ where: { id } });
      expect(row.secretHash).toMatch(/^sha256:/);
      return row.secretHash!;
    }

    it('a refusal names the scheme, and the answer is the same for an unknown client and a wrong secret', async () => {
      const params = { grant_type: 'client_credentials' };
      const wrong = await postForm(server, '/oauth/token', params, { client: { ...client, secret: 'wrong' } });
      const unknown = await postForm(server, '/oauth/token', params, { client: { id: randomUUID(), secret: 'wrong' } });
      expect([wrong.status, wrong.json.error]).toEqual([401, 'invalid_client']);
      expect(wrong.headers['www-authenticate']).toMatch(/^Basic/);
      expect(unknown.json).toEqual(wrong.json);
    });
  });

  describe('24. a client can prove who it is by a key', () => {
    let key: ClientKey;
    let machine: TestClient;
    const audience = () => server.issuer;
    beforeAll(async () => {
      key = await makeKey();
      const jwks = { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] };
      machine = await server.client({ ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', jwks });
    });

    const send = (params: Record<string, string>, headers = {}) =>
      postForm(server, '/oauth/token', { grant_type: 'client_credentials', ...params }, { headers });

    async function sign(claims: Record<string, unknown>, header: Record<string, unknown> = {}, by: ClientKey = key) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: machine.id, sub: machine.id, aud: audience(), jti: randomUUID(), iat: now, exp: now + 60 };
      const jwt = await new SignJWT({ ...all, ...claims })
        .setProtectedHeader({ alg: 'ES256', ...header })
        .sign(by.privateKey);
      return { client_id: machine.id, client_assertion_type: BY_JWT, client_assertion: jwt };
    }

    it('which is advertised, without secrets that would have to be kept in the clear', async () => {
      expect(metadata.token_endpoint_auth_methods_supported).toEqual(
        expect.arrayContaining(['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']),
      );
      expect(metadata.token_endpoint_auth_methods_supported).not.toContain('client_secret_jwt');
      const algorithms = metadata.token_endpoint_auth_signing_alg_values_supported as string[];
      expect(algorithms.filter((name) => /^HS|^none$/.test(name))).toEqual([]);
      expect((await send(await sign({}))).status).toBe(200);
    });

    it('once', async () => {
      const proof = await assertion(key, machine.id, audience());
      expect((await send(proof)).status).toBe(200);
      expect((await send(proof)).json.error).toBe('invalid_client');
      const sameJti = await sign({ jti: 'the-same' });
      expect((await send(sameJti)).status).toBe(200);
      expect((await send(await sign({ jti: 'the-same' }))).json.error).toBe('invalid_client');
    });

    it.each<[string, Record<string, unknown>]>([
      ['meant for another', { aud: 'https://evil.example' }],
      ['meant for an address that only begins like ours', { aud: `http://localhost.evil.example` }],
      ['meant for nobody', { aud: undefined }],
      ['expired', { exp: Math.floor(Date.now() / 1000) - 120, iat: Math.floor(Date.now() / 1000) - 180 }],
      ['without an end', { exp: undefined }],
      ['not valid before tomorrow', { nbf: Math.floor(Date.now() / 1000) + 86_400 }],
      ['without an id', { jti: undefined }],
      ['of another issuer', { iss: 'somebody' }],
      ['about another', { sub: 'somebody' }],
    ])('but not by an assertion %s', async (_what, claims) => {
      expect((await send(await sign(claims))).json.error).toMatch(/^invalid_(client|request)$/);
    });

    it('but not by the key of another, nor by no key, nor by its public key as a secret', async () => {
      const stranger = await makeKey();
      expect((await send(await sign({}, {}, stranger))).json.error).toBe('invalid_client');
      expect((await send(await sign({}, { jwk: stranger.publicJwk }, stranger))).json.error).toBe('invalid_client');
      const proof = await sign({});
      const [, body] = proof.client_assertion.split('.');
      const none = Buffer.from('{"alg":"none"}').toString('base64url');
      for (const signature of ['', 'AAAA']) {
        const unsigned = { ...proof, client_assertion: `${none}.${body}.${signature}` };
        expect((await send(unsigned)).json.error).toBe('invalid_client');
      }
      const secret = new TextEncoder().encode(JSON.stringify(key.publicJwk));
      const confused = await new SignJWT({ iss: machine.id, sub: machine.id, aud: audience(), jti: randomUUID() })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1m')
        .sign(secret);
      expect((await send({ ...proof, client_assertion: confused })).json.error).toBe('invalid_client');
    });

    it('and not by its name once it has a key, nor by a header that claims a certificate', async () => {
      expect(metadata.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
      const claims = { 'x-client-cert': 'CN=machine', 'x-ssl-client-verify': 'SUCCESS', 'client-cert': ':AAAA:' };
      expect((await send({ client_id: machine.id }, claims)).json.error).toBe('invalid_client');
    });
  });

  it('a client gets only the grants that are its own', async () => {
    const [app, machine] = [await server.client(), await server.client(MACHINE)];
    expect((await requestToken(server, app, { grant_type: 'client_credentials' })).body.error).toBe(
      'unauthorized_client',
    );
    const { refreshToken } = await openTokenFamily(server, app, email);
    const borrowed = { grant_type: 'refresh_token', refresh_token: refreshToken };
    expect((await requestToken(server, machine, borrowed)).body.error).toMatch(/^(unauthorized_client|invalid_grant)$/);
    for (const grant of [
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:openid:params:grant-type:ciba',
      'implicit',
    ]) {
      expect((await requestToken(server, app, { grant_type: grant })).status, grant).toBe(400);
    }
  });
});
