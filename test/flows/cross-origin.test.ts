// CORS of the OAuth endpoints.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obtainCode, redeemCode, requestToken } from '../support/relying-party.js';
import { sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const APP_ORIGIN = 'https://spa.example';
const PUBLIC = { token_endpoint_auth_method: 'none' };

describe('CORS of the OAuth endpoints', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** Redeems an unknown code from a page. */
  async function redeemFrom(origin: string, client: { id: string; secret: string }) {
    const params = {
      grant_type: 'authorization_code',
      code: 'x',
      redirect_uri: `${APP_ORIGIN}/cb`,
      code_verifier: 'x',
    };
    const { status, headers, body } = await requestToken(server, client, params, { headers: { origin } });
    return { status, error: body.error, allowedOrigin: headers['access-control-allow-origin'] ?? null };
  }

  it('allows the token endpoint for the origin of a public client', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: [`${APP_ORIGIN}/cb`] });
    expect(await redeemFrom(APP_ORIGIN, client)).toMatchObject({ error: 'invalid_grant', allowedOrigin: APP_ORIGIN });
  });

  it.each(['https://evil.example', 'http://spa.example', 'https://spa.example:8443', 'null'])(
    'rejects requests of %s for a client of another origin',
    async (origin) => {
      const client = await server.client({ ...PUBLIC, redirect_uris: [`${APP_ORIGIN}/cb`] });
      expect(await redeemFrom(origin, client)).toEqual({ status: 400, error: 'invalid_request', allowedOrigin: null });
    },
  );

  it('rejects requests for a confidential client, because a page cannot keep a secret', async () => {
    const client = await server.client({ redirect_uris: [`${APP_ORIGIN}/cb`] });
    expect(await redeemFrom(APP_ORIGIN, client)).toMatchObject({ error: 'invalid_request', allowedOrigin: null });
  });

  it('allows every port of localhost for a client with a loopback redirect URI', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: ['http://localhost/cb'] });
    const origin = 'http://localhost:5173';
    expect(await redeemFrom(origin, client)).toMatchObject({ error: 'invalid_grant', allowedOrigin: origin });
    expect(await redeemFrom('http://127.0.0.1:5173', client)).toMatchObject({ allowedOrigin: null });
  });

  it('allows no origin for a native app', async () => {
    const client = await server.client({ ...PUBLIC, redirect_uris: ['com.example.app:/cb'] });
    expect(await redeemFrom('null', client)).toMatchObject({ allowedOrigin: null });
    expect(await redeemFrom(APP_ORIGIN, client)).toMatchObject({ allowedOrigin: null });
  });

  it('allows userinfo for the origin of the client that the token belongs to', async () => {
    const { email } = await server.account();
    const client = await server.client({ redirect_uris: ['https://acme.example/cb'] });
    const { body } = await redeemCode(server, client, await obtainCode(server, client, email));
    const read = async (origin: string) => {
      const headers = { origin, authorization: `Bearer ${body.access_token}` };
      const response = await sendRequest(server, 'GET', '/oauth/userinfo', headers);
      return { status: response.status, allowedOrigin: response.headers['access-control-allow-origin'] ?? null };
    };
    expect(await read('https://acme.example')).toEqual({ status: 200, allowedOrigin: 'https://acme.example' });
    expect(await read('https://evil.example')).toEqual({ status: 400, allowedOrigin: null });
  });

  it.each(['/api/v1/oauth/token', '/oauth/token', '/oauth/userinfo', '/oauth/revoke', '/oauth/clients/register'])(
    'answers the preflight of %s',
    async (path) => {
      const { status, headers } = await sendRequest(server, 'OPTIONS', path, {
        origin: APP_ORIGIN,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      });
      expect(status).toBe(204);
      expect([APP_ORIGIN, '*']).toContain(headers['access-control-allow-origin']);
      expect(headers['access-control-allow-headers']?.toLowerCase()).toContain('authorization');
    },
  );
});
