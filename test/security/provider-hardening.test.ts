// Behavior in which Signet is stricter than oidc-provider with its default settings.

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import { requestToken, type TestClient } from '../support/relying-party.js';
import { basicAuth, FORM, postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { introspect, openTokenFamily, revoke } from '../support/token-family.js';

const LONG_BODY_BYTES = 10 * 1024 * 1024;

describe('the hardened OpenID provider', () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
  });
  afterAll(() => server.close());

  it.each(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'])(
    'ignores the Host header in the metadata: %s',
    async (path) => {
      for (const target of [path, `${path}?x=1`]) {
        for (const headers of [
          { host: 'evil.example' },
          { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
          { forwarded: 'host=evil.example;proto=https' },
        ]) {
          const response = await sendRequest(server, 'GET', target, headers as never);
          expect(response.json.issuer).toBe(server.issuer);
          expect(response.text).not.toContain('evil');
        }
      }
    },
  );

  it.each([
    'http://evil.example/cb',
    'http://192.168.0.1/cb',
    'http://127.1/cb',
    ' https://acme.example/cb',
    '\thttps://acme.example/cb',
    'https://acme.example/cb\r\n',
    'https://acme.example/\r\nSet-Cookie: x=y',
    'https:acme.example/cb',
    'ms-settings:x',
  ])('rejects the redirect URI %j on registration', async (uri) => {
    for (const metadata of [{ redirect_uris: [uri] }, { post_logout_redirect_uris: [uri] }]) {
      const { status, json } = await requestRegistration(server, metadata);
      expect([status, json.error]).toEqual([400, 'invalid_redirect_uri']);
    }
  });

  it('does not allow client_credentials for public clients', async () => {
    const none = { token_endpoint_auth_method: 'none' };
    const both = { ...none, grant_types: ['authorization_code', 'client_credentials'] };
    const { json } = await requestRegistration(server, both);
    expect(json.grant_types ?? []).not.toContain('client_credentials');
    if (json.client_id) {
      const registered = { id: String(json.client_id), secret: '' };
      expect(
        (await requestToken(server, registered, { grant_type: 'client_credentials' })).body.access_token,
      ).toBeUndefined();
    }
    await expect(server.client(both)).rejects.toThrow('client_credentials');
    const app = await server.client(none);
    expect((await requestToken(server, app, { grant_type: 'client_credentials' })).body.error).toBe(
      'unauthorized_client',
    );
  });

  it.each([
    'a.b.c',
    'eyJhbGciOiJub25lIn0.e30.',
    'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA',
    '..',
    '...',
    'a.b.c.d.e',
    'garbage',
  ])('reports the malformed token %j as inactive and accepts its revocation', async (text) => {
    expect(await introspect(server, client, text)).toEqual({ status: 200, body: { active: false } });
    expect((await revoke(server, client, text)).status).toBe(200);
  });

  it.each([
    ['/api/v1/oauth/token', FORM],
    ['/oauth/introspect', FORM],
    ['/oauth/par', FORM],
    ['/oauth/clients/register', 'application/json'],
    ['/login', FORM],
  ])('rejects a body of 10 MB with 413 at %s', async (path, type) => {
    expect(await postLong(path, type)).toBe(413);
  });

  it('still reads short bodies after that', async () => {
    const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    expect((await requestToken(server, machine, { grant_type: 'client_credentials' })).status).toBe(200);
  });

  it('sends X-Content-Type-Options: nosniff with all responses, including errors', async () => {
    const requests: [string, string, Record<string, string>?, string?][] = [
      ['GET', '/unknown'],
      ['GET', '/oauth/unknown'],
      ['GET', '/api/v1/unknown'],
      ['GET', '/.well-known/unknown'],
      ['GET', '/assets/unknown'],
      ['GET', '/%'],
      ['GET', '/oauth/authorize'],
      ['GET', '/oauth/authorize?client_id=unknown', { accept: 'text/html' }],
      ['GET', '/oauth/userinfo'],
      ['GET', '/oauth/token'],
      ['GET', '/interaction/unknown'],
      ['GET', '/oauth/logout?id_token_hint=x'],
      ['GET', '/oauth/clients/register/unknown'],
      ['POST', '/oauth/token', { 'content-type': FORM }, 'grant_type=x'],
      ['POST', '/oauth/token', { 'content-type': 'text/plain' }, 'x'],
      ['POST', '/oauth/clients/register', { 'content-type': 'application/json' }, '{'],
      ['POST', '/login', { 'content-type': FORM }, 'csrf=x'],
      ['PROPFIND', '/'],
      ['OPTIONS', '/oauth/token'],
      ['GET', '/.well-known/openid-configuration'],
      ['GET', '/healthz'],
    ];
    for (const [method, path, headers, body] of requests) {
      const response = await sendRequest(server, method, path, headers, body);
      expect(response.headers['x-content-type-options'], `${method} ${path}`).toBe('nosniff');
    }
  });

  it('sends no Content-Type with an empty body', async () => {
    const { email } = await server.account();
    const { accessToken, refreshToken } = await openTokenFamily(server, client, email);
    for (const text of [accessToken, refreshToken, 'unknown']) {
      const response = await postForm(server, '/oauth/revoke', { token: text }, { client });
      expect([response.status, response.text, response.headers['content-type']]).toEqual([200, '', undefined]);
    }
    const app = await registerDynamically(server);
    const bearer = { authorization: `Bearer ${app.managementToken}` };
    const deleted = await sendRequest(server, 'DELETE', `/oauth/clients/register/${app.id}`, bearer);
    expect([deleted.status, deleted.text, deleted.headers['content-type']]).toEqual([204, '', undefined]);
  });

  /** Announces 10 MB, sends a part and returns the status of the response. */
  function postLong(path: string, type: string): Promise<number> {
    const headers = {
      'content-type': type,
      'content-length': String(LONG_BODY_BYTES),
      authorization: basicAuth(client),
    };
    return new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: server.port, path, method: 'POST', headers }, (response) => {
        resolve(response.statusCode!);
        sent.destroy();
      });
      sent.on('error', reject);
      sent.write('x'.repeat(64 * 1024));
    });
  }
});
