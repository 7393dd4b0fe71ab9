// Bounds of one request: the number and length of its parameters, and the keys that verify it.

import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addSeconds, HOUR_SECONDS } from '../../../src/base/clock.js';
import { Browser } from '../../support/browser.js';
import { DEVICE_CLIENT, DEVICE_GRANT } from '../../support/device.js';
import { openHttpServer } from '../../support/http-server.js';
import { requestRegistration } from '../../support/registration.js';
import { authorizeUrl, pkce, REDIRECT_URI, signInAndConsent, type TestClient } from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const repeat = (count: number, parameter: (n: number) => string) =>
  Array.from({ length: count }, (_, n) => parameter(n)).join('&');

describe('parameters of an OAuth request', () => {
  let server: TestServer;
  let clientId: string;
  beforeAll(async () => {
    server = await startServer();
    clientId = (await server.client(DEVICE_CLIENT)).id;
  });
  afterAll(() => server.close());

  const post = (path: string, form: string) =>
    sendRequest(
      server,
      'POST',
      path,
      { 'content-type': 'application/x-www-form-urlencoded' },
      `client_id=${clientId}&${form}`,
    );
  const resource = (n: number) => `resource=${server.origin}/k${n}/../api/v1`;
  const scopes = (count: number) => `scope=${Array.from({ length: count }, (_, n) => `s${n}`).join('+')}`;

  describe.each(['/oauth/device', '/oauth/par', '/oauth/token'])('at %s', (path) => {
    it.each([
      ['11 resources', () => repeat(11, resource), 'at most 10 resource parameters are allowed'],
      ['800 resources', () => repeat(800, resource), 'at most 10 resource parameters are allowed'],
      ['51 scopes', () => scopes(51), 'at most 50 scopes are allowed'],
      ['a long resource', () => `resource=urn:${'x'.repeat(16_384)}`, 'resource is longer than 16384 characters'],
    ])('are rejected with %s', async (_, form, description) => {
      const response = await post(path, `${form()}&grant_type=client_credentials`);
      expect(response.status).toBe(400);
      expect(response.json).toMatchObject({ error: 'invalid_request', error_description: description });
    });
  });

  it('are rejected with 51 scopes at the authorization endpoint', async () => {
    const response = await sendRequest(server, 'GET', `/oauth/authorize?client_id=${clientId}&${scopes(51)}`);
    expect([response.status, response.text]).toEqual([400, expect.stringContaining('most 50 scopes are allowed')]);
  });

  it('are accepted at the bounds', async () => {
    const response = await post('/oauth/device', `${repeat(10, resource)}&scope=openid`);
    expect([response.status, response.json.error]).toEqual([200, undefined]);
  });

  it('are bounded by settings', async () => {
    const strict = await startServer({ sharedWith: server, settings: { MAX_RESOURCES: '1', MAX_SCOPES: '10' } });
    const { json } = await postForm(strict, '/oauth/device', { client_id: clientId, scope: 'a '.repeat(10) });
    expect(json.error_description).toBe('at most 10 scopes are allowed');
    await strict.close();
  });
});

describe.each(stores)('stored requests on $name', (store) => {
  let server: TestServer;
  let publicClient: TestClient;
  let confidentialClient: TestClient;
  const settings = { MAX_STORED_KILOBYTES_PER_HOUR: '100', TRUSTED_PROXIES: '127.0.0.1' };
  beforeAll(async () => {
    server = await startServer({ store, settings });
    publicClient = await server.client(DEVICE_CLIENT);
    confidentialClient = await server.client({ grant_types: [DEVICE_GRANT], redirect_uris: [] });
  });
  afterAll(() => server.close());

  const device = (client: TestClient, address: string, bytes: number) =>
    postForm(
      server,
      '/oauth/device',
      { scope: 'openid', login_hint: 'x'.repeat(bytes) },
      { client, headers: { 'x-forwarded-for': address } },
    );
  const authorize = (client: { id: string }, address: string, state: string) =>
    sendRequest(server, 'GET', authorizeUrl({ origin: '' }, client, pkce().challenge, { state }), {
      'x-forwarded-for': address,
    });

  it('have a maximum size', async () => {
    const { status, json } = await device(publicClient, '192.0.2.1', 9000);
    expect([status, json.error_description]).toEqual([400, 'the request is larger than 8192 bytes']);
  });

  it('are limited by network for public clients, and not for authenticated ones', async () => {
    const network = (n: number) => `2001:db8:7:${n}::1`;
    for (let n = 0; n < 12; n += 1) expect((await device(publicClient, network(n), 7000)).status).toBe(200);
    const { status, json, headers } = await device(publicClient, network(99), 7000);
    expect([status, json.error]).toEqual([429, 'temporarily_unavailable']);
    expect(json.error_description).toBe('this network has started more than 100 kB of requests in an hour');
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect((await device(publicClient, '2001:db8:8::1', 7000)).status).toBe(200);
    expect((await device(confidentialClient, network(99), 7000)).status).toBe(200);
  });

  it('are limited by network for visitors who are not signed in', async () => {
    const client = await server.client();
    const statuses = [];
    for (let n = 0; n < 20; n += 1)
      statuses.push((await authorize(client, '192.0.2.3', 'x'.repeat(6000))).headers.location);
    expect(statuses[0]).toMatch(/^\/interaction\//);
    expect(statuses.at(-1)).toContain('error=temporarily_unavailable');
  });

  it('are limited by network for the forms of visitors who are not signed in', async () => {
    const from = (address: string) => ({ 'x-forwarded-for': address });
    const statuses = [];
    for (let n = 0; n < 60; n += 1) {
      statuses.push((await sendRequest(server, 'GET', '/device', from('192.0.2.4'))).status);
      statuses.push((await sendRequest(server, 'GET', '/oauth/logout', from('192.0.2.4'))).status);
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(100);
    expect(statuses.filter((status) => status === 429)).toHaveLength(20);
    expect((await sendRequest(server, 'GET', '/device', from('192.0.2.5'))).status).toBe(200);
    const { db, redis } = server.base;
    const inTwoHours = addSeconds(new Date(), 2 * HOUR_SECONDS);
    expect(await db.oidcArtifact.count({ where: { kind: 'Session', expiresAt: { gt: inTwoHours } } })).toBe(0);
    const keys = (await redis?.keys(`${server.config.redisPrefix}Session:*`)) ?? [];
    expect(keys.length).toBeGreaterThanOrEqual(redis ? 101 : 0);
    for (const key of keys) expect(await redis!.ttl(key)).toBeLessThanOrEqual(HOUR_SECONDS);
  });

  it('are removed when they are used', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const { challenge } = pkce();
    const body = { client_id: client.id, response_type: 'code', redirect_uri: REDIRECT_URI, scope: 'openid' };
    const { json } = await postForm(
      server,
      '/oauth/par',
      { ...body, code_challenge: challenge, code_challenge_method: 'S256' },
      { client },
    );
    const id = server.core.oauthStorage.idOf(String(json.request_uri).split(':').at(-1)!);
    const find = () => server.core.oauthStorage.store.get('PushedAuthorizationRequest', id);
    expect(await find()).toBeDefined();
    const start = `${server.origin}/oauth/authorize?client_id=${client.id}&request_uri=${json.request_uri}`;
    const url = await signInAndConsent(new Browser(server.origin), start, email);
    expect(url.searchParams.get('code')).toEqual(expect.any(String));
    expect(await find()).toBeUndefined();
  });
});

describe('keys of a client', () => {
  let server: TestServer;
  let pairs: { jwk: JWK; privateKey: CryptoKey }[];
  beforeAll(async () => {
    server = await startServer();
    pairs = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const { publicKey, privateKey } = await generateKeyPair('ES256');
        return { jwk: await exportJWK(publicKey), privateKey };
      }),
    );
  });
  afterAll(() => server.close());

  const jwksOf = (count: number, withKid: boolean) => ({
    keys: pairs.slice(0, count).map(({ jwk }, n) => ({ ...jwk, ...(withKid && { kid: `key-${n}` }) })),
  });
  const register = (members: object) =>
    requestRegistration(server, { token_endpoint_auth_method: 'private_key_jwt', ...members });
  async function authenticate(clientId: string, index: number, header: { kid?: string } = {}) {
    const assertion = await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: 'ES256', ...header })
      .setIssuer(clientId)
      .setSubject(clientId)
      .setAudience(server.origin)
      .setExpirationTime('1m')
      .sign(pairs[index]!.privateKey);
    const form = { client_assertion_type: JWT_BEARER, client_assertion: assertion, grant_type: 'client_credentials' };
    return postForm(server, '/oauth/token', form);
  }

  it.each([
    ['11 keys', { jwks: () => jwksOf(11, true), error: 'jwks can have at most 10 keys' }],
    ['several keys without kid', { jwks: () => jwksOf(2, false), error: 'each key in jwks needs a kid of its own' }],
    [
      'a huge exponent',
      {
        jwks: () => ({ keys: [{ kty: 'RSA', n: 'x'.repeat(342), e: 'x'.repeat(342) }] }),
        error: expect.stringContaining('exponent'),
      },
    ],
  ])('are rejected at registration: %s', async (_, { jwks, error }) => {
    const { status, json } = await register({ jwks: jwks() });
    expect([status, json.error, json.error_description]).toEqual([400, 'invalid_client_metadata', error]);
  });

  it('are bounded together with the rest of the metadata', async () => {
    const { status, json } = await register({
      jwks: jwksOf(1, true),
      redirect_uris: Array.from({ length: 5 }, (_, n) => `https://acme.example/${'x'.repeat(2000)}${n}`),
    });
    expect([status, json.error_description]).toEqual([400, 'the metadata is longer than 8192 bytes']);
  });

  it('from a jwks_uri are bounded when they are used', async () => {
    let served = jwksOf(12, true);
    const keyServer = await openHttpServer((_req, res) =>
      res.setHeader('content-type', 'application/json').end(JSON.stringify(served)),
    );
    const metadata = {
      grant_types: ['client_credentials'],
      redirect_uris: [],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: `${keyServer.origin}/keys`,
    };
    const { id: many } = await server.client(metadata);
    expect((await authenticate(many, 9, { kid: 'key-9' })).status).toBe(200);
    expect((await authenticate(many, 10, { kid: 'key-10' })).json.error).toBe('invalid_client'); // the 11th key
    served = jwksOf(2, false);
    const { id: ambiguous } = await server.client(metadata);
    expect((await authenticate(ambiguous, 0)).json.error).toBe('invalid_client');
    served = jwksOf(1, false);
    const { id: one } = await server.client(metadata);
    expect((await authenticate(one, 0)).status).toBe(200);
    await keyServer.close();
  });
});
