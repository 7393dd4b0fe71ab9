// Bounds of one request: the number and length of its parameters, and the keys that verify it.

import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEVICE_CLIENT } from '../../support/device.js';
import { openHttpServer } from '../../support/http-server.js';
import { requestRegistration } from '../../support/registration.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

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
