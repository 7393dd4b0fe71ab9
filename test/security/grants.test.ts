// Grant types and client authentication (RFC 9700, sections 2.1.2, 2.4 and 2.5). Mutual TLS:
// test/flows/rfc8705-mtls.test.ts.

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
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

describe('grant types', () => {
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
    'rejects response_type=%s (RFC 9700, section 2.1.2)',
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

  it('rejects the password grant without checking the password (RFC 9700, section 2.4)', async () => {
    expect(metadata.grant_types_supported).not.toContain('password');
    expect(metadata.grant_types_supported).not.toContain('implicit');
    const app = await registerDynamically(server);
    const params = { grant_type: 'password', username: email, scope: 'openid' };
    for (const sender of [client, app]) {
      const right = await requestToken(server, sender, { ...params, password: PASSWORD });
      const wrong = await requestToken(server, sender, { ...params, password: 'a wrong password' });
      expect([right.status, right.body.error]).toEqual([400, 'unsupported_grant_type']);
      expect(right.body).toEqual(wrong.body);
    }
  });

  describe('client authentication (RFC 9700, section 2.5)', () => {
    const ENDPOINTS: [string, Record<string, string>][] = [
      ['/api/v1/oauth/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
      ['/oauth/token', { grant_type: 'refresh_token', refresh_token: 'x' }],
      ['/oauth/par', { response_type: 'code', scope: 'openid' }],
      ['/oauth/revoke', { token: 'x' }],
      ['/oauth/introspect', { token: 'x' }],
      ['/oauth/device', { scope: 'openid' }],
    ];

    it.each(ENDPOINTS)('is required of confidential clients at %s', async (path, params) => {
      const jwks = { keys: [{ ...(await makeKey()).publicJwk, use: 'sig', alg: 'ES256' }] };
      const keyClient = await server.client({ token_endpoint_auth_method: 'private_key_jwt', jwks });
      const other = await server.client();
      const attempts: [string, Record<string, string>, Record<string, string>][] = [
        ['no credentials', {}, {}],
        ['the client_id alone', { client_id: client.id }, {}],
        ['a wrong secret', {}, { authorization: basicAuth({ ...client, secret: 'wrong' }) }],
        ['an empty secret', {}, { authorization: basicAuth({ ...client, secret: '' }) }],
        ['the secret of another client', {}, { authorization: basicAuth({ ...client, secret: other.secret }) }],
        [
          'the stored hash of the secret',
          {},
          { authorization: basicAuth({ ...client, secret: await hashOf(client) }) },
        ],
        ['a secret of a client that has none', {}, { authorization: basicAuth({ ...keyClient, secret: 'anything' }) }],
        ['a secret of a client that has none, in the body', { client_id: keyClient.id, client_secret: 'anything' }, {}],
        ['an unknown client_id', {}, { authorization: basicAuth({ ...client, id: randomUUID() }) }],
        ['the secret as a bearer token', {}, { authorization: `Bearer ${client.secret}` }],
        ['a scheme without credentials', {}, { authorization: 'Basic' }],
        ['two client_ids', { client_id: other.id }, { authorization: basicAuth(client) }],
        ['an empty assertion', { client_id: client.id, client_assertion_type: JWT_BEARER, client_assertion: '' }, {}],
      ];
      for (const [name, more, headers] of attempts) {
        const response = await postForm(server, path, { ...params, ...more }, { headers });
        expect([400, 401], `${name}: ${response.text}`).toContain(response.status);
        expect(['invalid_client', 'invalid_request'], name).toContain(response.json.error);
        expect(response.text, name).not.toMatch(/active|access_token|request_uri|user_code/);
      }
      const right = await postForm(server, path, params, { client });
      expect(right.json.error).not.toBe('invalid_client');
    });

    async function hashOf({ id }: TestClient): Promise<string> {
      const client = await server.core.clients.find(id);
      expect(client!.secretHash).toMatch(/^sha256:/);
      return client!.secretHash!;
    }

    it('fails with the same error for an unknown client and for a wrong secret', async () => {
      const params = { grant_type: 'client_credentials' };
      const wrong = await postForm(server, '/oauth/token', params, { client: { ...client, secret: 'wrong' } });
      const unknown = await postForm(server, '/oauth/token', params, { client: { id: randomUUID(), secret: 'wrong' } });
      expect([wrong.status, wrong.json.error]).toEqual([401, 'invalid_client']);
      expect(wrong.headers['www-authenticate']).toMatch(/^Basic/);
      expect(unknown.json).toEqual(wrong.json);
    });
  });

  describe('private_key_jwt (RFC 7523)', () => {
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

    async function sign(
      claims: Record<string, unknown>,
      header: Record<string, unknown> = {},
      signer: ClientKey = key,
    ) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: machine.id, sub: machine.id, aud: audience(), jti: randomUUID(), iat: now, exp: now + 60 };
      const jwt = await new SignJWT({ ...all, ...claims })
        .setProtectedHeader({ alg: 'ES256', ...header })
        .sign(signer.privateKey);
      return { client_id: machine.id, client_assertion_type: JWT_BEARER, client_assertion: jwt };
    }

    it('is advertised, unlike client_secret_jwt, which needs secrets in plain text', async () => {
      expect(metadata.token_endpoint_auth_methods_supported).toEqual(
        expect.arrayContaining(['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']),
      );
      expect(metadata.token_endpoint_auth_methods_supported).not.toContain('client_secret_jwt');
      const algorithms = metadata.token_endpoint_auth_signing_alg_values_supported as string[];
      expect(algorithms.filter((name) => /^HS|^none$/.test(name))).toEqual([]);
      expect((await send(await sign({}))).status).toBe(200);
    });

    it('accepts an assertion and a jti once', async () => {
      const params = await assertion(key, machine.id, audience());
      expect((await send(params)).status).toBe(200);
      expect((await send(params)).json.error).toBe('invalid_client');
      const sameJti = await sign({ jti: 'the-same' });
      expect((await send(sameJti)).status).toBe(200);
      expect((await send(await sign({ jti: 'the-same' }))).json.error).toBe('invalid_client');
    });

    it.each<[string, Record<string, unknown>]>([
      ['with another audience', { aud: 'https://evil.example' }],
      ['with an audience that has the issuer as prefix', { aud: `http://localhost.evil.example` }],
      ['without an audience', { aud: undefined }],
      ['that has expired', { exp: Math.floor(Date.now() / 1000) - 120, iat: Math.floor(Date.now() / 1000) - 180 }],
      ['without exp', { exp: undefined }],
      ['with nbf in the future', { nbf: Math.floor(Date.now() / 1000) + 86_400 }],
      ['without jti', { jti: undefined }],
      ['with another issuer', { iss: 'other' }],
      ['with another subject', { sub: 'other' }],
    ])('rejects an assertion %s', async (_description, claims) => {
      expect((await send(await sign(claims))).json.error).toMatch(/^invalid_(client|request)$/);
    });

    it('rejects assertions signed by another key, unsigned, or signed with the public key as a secret', async () => {
      const otherKey = await makeKey();
      expect((await send(await sign({}, {}, otherKey))).json.error).toBe('invalid_client');
      expect((await send(await sign({}, { jwk: otherKey.publicJwk }, otherKey))).json.error).toBe('invalid_client');
      const params = await sign({});
      const [, body] = params.client_assertion.split('.');
      const none = Buffer.from('{"alg":"none"}').toString('base64url');
      for (const signature of ['', 'AAAA']) {
        const unsigned = { ...params, client_assertion: `${none}.${body}.${signature}` };
        expect((await send(unsigned)).json.error).toBe('invalid_client');
      }
      const secret = new TextEncoder().encode(JSON.stringify(key.publicJwk));
      const confused = await new SignJWT({ iss: machine.id, sub: machine.id, aud: audience(), jti: randomUUID() })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('1m')
        .sign(secret);
      expect((await send({ ...params, client_assertion: confused })).json.error).toBe('invalid_client');
    });

    it('cannot be replaced by the client_id alone or by the headers of a TLS proxy', async () => {
      expect(metadata.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
      const headers = { 'x-client-cert': 'CN=machine', 'x-ssl-client-verify': 'SUCCESS', 'client-cert': ':AAAA:' };
      expect((await send({ client_id: machine.id }, headers)).json.error).toBe('invalid_client');
    });
  });

  it('rejects grant types that the client did not register', async () => {
    const [app, machine] = [await server.client(), await server.client(MACHINE)];
    expect((await requestToken(server, app, { grant_type: 'client_credentials' })).body.error).toBe(
      'unauthorized_client',
    );
    const { refreshToken } = await openTokenFamily(server, app, email);
    const params = { grant_type: 'refresh_token', refresh_token: refreshToken };
    expect((await requestToken(server, machine, params)).body.error).toMatch(/^(unauthorized_client|invalid_grant)$/);
    for (const grant of [
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:openid:params:grant-type:ciba',
      'implicit',
    ]) {
      expect((await requestToken(server, app, { grant_type: grant })).status, grant).toBe(400);
    }
  });
});
