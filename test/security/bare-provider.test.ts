// What a bare oidc-provider was seen to fail on.

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import { requestToken, type TestClient } from '../support/relying-party.js';
import { basicAuth, FORM, postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { introspect, openTokenFamily, revoke } from '../support/token-family.js';

const LONG_BYTES = 10 * 1024 * 1024;

describe('what a bare oidc-provider fails on', () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
  });
  afterAll(() => server.close());

  it.each(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server'])(
    'the addresses in the metadata do not follow the Host header: %s',
    async (path) => {
      for (const asked of [path, `${path}?x=1`]) {
        for (const headers of [
          { host: 'evil.example' },
          { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
          { forwarded: 'host=evil.example;proto=https' },
        ]) {
          const answer = await sendRequest(server, 'GET', asked, headers as never);
          expect(answer.json.issuer).toBe(server.issuer);
          expect(answer.text).not.toContain('evil');
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
  ])('registration refuses the redirect URI %j', async (uri) => {
    for (const metadata of [{ redirect_uris: [uri] }, { post_logout_redirect_uris: [uri] }]) {
      const { status, json } = await requestRegistration(server, metadata);
      expect([status, json.error]).toEqual([400, 'invalid_redirect_uri']);
    }
  });

  it('a public client cannot use client_credentials, however it comes by it', async () => {
    const none = { token_endpoint_auth_method: 'none' };
    const both = { ...none, grant_types: ['authorization_code', 'client_credentials'] };
    const { json } = await requestRegistration(server, both);
    expect(json.grant_types ?? []).not.toContain('client_credentials');
    if (json.client_id) {
      const stranger = { id: String(json.client_id), secret: '' };
      expect(
        (await requestToken(server, stranger, { grant_type: 'client_credentials' })).body.access_token,
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
  ])('introspection calls %j not active, and revocation is content with it', async (text) => {
    expect(await introspect(server, client, text)).toEqual({ status: 200, body: { active: false } });
    expect((await revoke(server, client, text)).status).toBe(200);
  });

  it.each([
    ['/api/v1/oauth/token', FORM],
    ['/oauth/introspect', FORM],
    ['/oauth/par', FORM],
    ['/oauth/clients/register', 'application/json'],
    ['/login', FORM],
  ])('a body of 10 MB gets 413 at %s', async (path, type) => {
    expect(await postLong(path, type)).toBe(413);
  });

  it('a short body is still read after that', async () => {
    const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    expect((await requestToken(server, machine, { grant_type: 'client_credentials' })).status).toBe(200);
  });

  it('every answer forbids to guess its type (nosniff), errors too', async () => {
    const answers: [string, string, Record<string, string>?, string?][] = [
      ['GET', '/nowhere'],
      ['GET', '/oauth/nowhere'],
      ['GET', '/api/v1/nowhere'],
      ['GET', '/.well-known/nowhere'],
      ['GET', '/assets/nowhere'],
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
    for (const [method, path, headers, body] of answers) {
      const answer = await sendRequest(server, method, path, headers, body);
      expect(answer.headers['x-content-type-options'], `${method} ${path}`).toBe('nosniff');
    }
  });

  it('an empty answer to a revocation has no type', async () => {
    const { email } = await server.account();
    const { accessToken, refreshToken } = await openTokenFamily(server, client, email);
    for (const text of [accessToken, refreshToken, 'unknown']) {
      const answer = await postForm(server, '/oauth/revoke', { token: text }, { client });
      expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([200, '', undefined]);
    }
    const app = await registerDynamically(server);
    const bearer = { authorization: `Bearer ${app.managementToken}` };
    const removed = await sendRequest(server, 'DELETE', `/oauth/clients/register/${app.id}`, bearer);
    expect([removed.status, removed.text, removed.headers['content-type']]).toEqual([204, '', undefined]);
  });

  /** Announces 10 MB and sends them until it is told to stop. */
  function postLong(path: string, type: string): Promise<number> {
    const headers = { 'content-type': type, 'content-length': String(LONG_BYTES), authorization: basicAuth(client) };
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: server.port, path, method: 'POST', headers }, (response) => {
        resolve(response.statusCode!);
        asked.destroy();
      });
      asked.on('error', reject);
      asked.write('x'.repeat(64 * 1024));
    });
  }
});
