// Request headers that only a trusted proxy may set. These servers trust no proxy (RFC 9700,
// section 4.13).

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import type { TestClient } from '../support/relying-party.js';
import { postForm, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';

const FORGED = {
  host: 'evil.example',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  'x-forwarded-for': '6.6.6.6',
  forwarded: 'for=6.6.6.6;host=evil.example;proto=https',
  'x-real-ip': '6.6.6.6',
  'cf-connecting-ip': '6.6.6.6',
  'true-client-ip': '6.6.6.6',
  'x-request-id': 'evil-request',
  'x-original-url': '/oauth/jwks',
  'x-rewrite-url': '/oauth/jwks',
  'x-http-method-override': 'DELETE',
  'x-client-cert': 'CN=admin',
  'x-ssl-client-verify': 'SUCCESS',
  'x-remote-user': 'admin',
};

describe('forged request headers', () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: ['https://acme.example/bye'] });
  });
  afterAll(() => server.close());

  it('do not change metadata, links, cookies or redirects', async () => {
    for (const path of ['/.well-known/openid-configuration', '/', '/login', '/account', '/device', '/unknown', '/%']) {
      const plain = await sendRequest(server, 'GET', path, { accept: 'text/html' });
      const forged = await sendRequest(server, 'GET', path, { accept: 'text/html', ...FORGED });
      expect(forged.status, path).toBe(plain.status);
      expect(JSON.stringify(forged), path).not.toMatch(/evil/);
      expect(forged.headers['content-type'], path).toBe(plain.headers['content-type']);
    }
  });

  it('neither bypass rate limits nor appear in the log', async () => {
    const email = 'unknown@example.com';
    const browser = new Browser(server.origin);
    const page = await browser.open('/login');
    const statuses: number[] = [];
    for (let n = 0; n < 12; n += 1) {
      browser.headers = { ...browser.headers, 'x-forwarded-for': `10.0.0.${n}`, 'x-real-ip': `10.0.0.${n}` };
      statuses.push((await browser.signIn(email, 'a wrong password', page)).status);
    }
    expect(statuses.at(-1)).toBe(429);
    expect(server.lines.filter((line) => /10\.0\.0\.\d|6\.6\.6\.6|evil-request/.test(line))).toEqual([]);
  });

  it('are not accepted as credentials', async () => {
    const response = await sendRequest(server, 'GET', '/oauth/userinfo', FORGED);
    expect(response.status).toBe(401);
    const tokenResponse = await postForm(
      server,
      '/oauth/token',
      { grant_type: 'client_credentials', client_id: client.id },
      { headers: FORGED },
    );
    expect([tokenResponse.status, tokenResponse.json.error]).toEqual([401, 'invalid_client']);
    expect((await sendRequest(server, 'GET', '/account', { ...FORGED, accept: 'text/html' })).status).toBe(303);
  });
});
