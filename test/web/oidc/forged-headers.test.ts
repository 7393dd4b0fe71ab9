// URLs come from the settings, never from the Host or forwarding headers of a request.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, obtainCode, pkce, type TestClient } from '../../support/relying-party.js';
import { sendJson, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const FORGED = {
  host: 'evil.example',
  'x-forwarded-host': 'evil.example',
  'x-forwarded-proto': 'https',
  'x-forwarded-port': '666',
  'x-forwarded-for': '6.6.6.6',
  'x-forwarded-prefix': '/evil',
  'x-real-ip': '6.6.6.6',
  forwarded: 'host=evil.example;proto=https;for=6.6.6.6',
};

describe('a request with forged Host and forwarding headers', () => {
  let server: TestServer;
  let client: TestClient;
  let email: string;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client();
    ({ email } = await server.account());
  });
  afterAll(() => server.close());

  it.each(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/oauth/jwks', '/'])(
    'does not change the response of %s',
    async (path) => {
      const ordinary = await sendRequest(server, 'GET', path);
      const forged = await sendRequest(server, 'GET', path, FORGED);
      expect(ordinary.status).toBe(200);
      expect(forged.status).toBe(200);
      expect(forged.text).toBe(ordinary.text);
      expect(JSON.stringify(forged)).not.toContain('evil');
    },
  );

  it('gets discovery metadata with URLs of the issuer only', async () => {
    const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration', FORGED);
    expect(json.issuer).toBe(server.issuer);
    for (const [name, value] of Object.entries(json)) {
      if (/_(endpoint|uri)$/.test(name)) expect(String(value).startsWith(`${server.issuer}/`), name).toBe(true);
    }
  });

  it('does not change redirects and cookies', async () => {
    const { pathname, search } = new URL(authorizeUrl(server, client, pkce().challenge));
    const headers = { ...FORGED, accept: 'text/html' };
    const response = await sendRequest(server, 'GET', `${pathname}${search}`, headers);
    expect(response.status).toBe(303);
    expect(response.headers.location).not.toContain('evil');
    expect(response.cookies.length).toBeGreaterThan(0);
    expect(response.cookies.join()).not.toMatch(/evil|domain=/i);
  });

  it.each(['/login', '/register', '/unknown', '/account', '/device', '/oauth/logout'])(
    'does not change the page %s',
    async (path) => {
      const page = await sendRequest(server, 'GET', path, { ...FORGED, accept: 'text/html' });
      expect(page.status).toBeLessThan(500);
      expect(`${page.text}${JSON.stringify(page.headers)}`).not.toContain('evil');
    },
  );

  it('does not change `iss` in the authorization response', async () => {
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-host': 'evil.example', forwarded: FORGED.forwarded };
    const { redirect } = await obtainCode(server, client, email, {}, browser);
    expect(redirect.searchParams.get('iss')).toBe(server.issuer);
  });

  it('registers a client whose configuration endpoint is at the issuer', async () => {
    const body = { redirect_uris: ['https://app.example/cb'] };
    const { status, json } = await sendJson(server, 'POST', '/oauth/clients/register', { headers: FORGED, body });
    expect(status).toBe(201);
    expect(String(json.registration_client_uri).startsWith(`${server.issuer}/`)).toBe(true);
  });

  it('is logged with the IP address of the connection', async () => {
    await sendRequest(server, 'GET', '/login', FORGED);
    const lines = server.lines.map((line) => JSON.parse(line) as { path?: string; address?: string });
    const addresses = lines.filter(({ path }) => path === '/login').map(({ address }) => address);
    expect(addresses.length).toBeGreaterThan(0);
    expect(addresses).not.toContain('6.6.6.6');
  });
});

describe('an IPv6-mapped address from a trusted proxy', () => {
  it('is logged as an IPv4 address', async () => {
    const server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    await sendRequest(server, 'GET', '/login', { 'x-forwarded-for': '::ffff:192.0.2.7' });
    await server.close();
    expect(server.lines.map((line) => JSON.parse(line).address).filter(Boolean)).toEqual(['192.0.2.7']);
  });
});
