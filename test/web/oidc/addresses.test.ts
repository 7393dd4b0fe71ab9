// The settings decide about URLs and redirects, never the headers of a request.
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { Browser } from '../../support/browser.js';
import { assertion, dpop, makeKey, tokenWithProof } from '../../support/client-keys.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  redeemCode,
  requestToken,
  signInAndConsent,
  type TestClient,
} from '../../support/relying-party.js';
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

let server: TestServer;
let client: TestClient;
let email: string;
beforeAll(async () => {
  server = await startServer();
  client = await server.client();
  ({ email } = await server.account());
});
afterAll(() => server.close());

/** fetch does not let a test lie about the host. */
function ask(path: string, headers: Record<string, string>, method = 'GET', body?: string) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port: server.port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
    });
    asked.on('error', reject).end(body);
  });
}

describe('a request with a forged host', () => {
  it.each(['/.well-known/openid-configuration', '/.well-known/oauth-authorization-server', '/oauth/jwks', '/'])(
    'changes nothing in %s',
    async (path) => {
      const honest = await ask(path, { host: `localhost:${server.port}` });
      const forged = await ask(path, FORGED);
      expect(honest.status).toBe(200);
      expect(forged.status).toBe(200);
      expect(forged.body).toBe(honest.body);
      expect(JSON.stringify(forged)).not.toContain('evil');
    },
  );

  it('publishes URLs of the issuer only', async () => {
    const document = JSON.parse((await ask('/.well-known/openid-configuration', FORGED)).body) as Record<
      string,
      unknown
    >;
    expect(document.issuer).toBe(server.issuer);
    for (const [name, value] of Object.entries(document)) {
      if (/_(endpoint|uri)$/.test(name)) expect(String(value).startsWith(`${server.issuer}/`), name).toBe(true);
    }
  });

  it('changes nothing in redirects, cookies, pages and iss', async () => {
    const start = new URL(authorizeUrl(server, client, pkce().challenge));
    const first = await ask(`${start.pathname}${start.search}`, { ...FORGED, accept: 'text/html' });
    expect(first.status).toBe(303);
    expect(String(first.headers.location)).not.toContain('evil');
    expect(JSON.stringify(first.headers['set-cookie'])).not.toMatch(/evil|domain=/i);
    for (const path of ['/login', '/register', '/nowhere', '/account', '/device', '/oauth/logout']) {
      const page = await ask(path, { ...FORGED, accept: 'text/html' });
      expect(page.status, path).toBeLessThan(500);
      expect(`${page.body}${JSON.stringify(page.headers)}`, path).not.toContain('evil');
    }
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-host': 'evil.example', forwarded: FORGED.forwarded };
    const { redirect } = await obtainCode(server, client, email, {}, browser);
    expect(redirect.searchParams.get('iss')).toBe(server.issuer);
  });

  it('registers clients at the issuer', async () => {
    const body = JSON.stringify({ redirect_uris: ['https://app.example/cb'] });
    const headers = { ...FORGED, 'content-type': 'application/json', 'content-length': String(body.length) };
    const answer = await ask('/oauth/clients/register', headers, 'POST', body);
    expect(answer.status).toBe(201);
    expect(JSON.parse(answer.body).registration_client_uri.startsWith(`${server.issuer}/`)).toBe(true);
  });

  it('is logged with the address of its sender', async () => {
    await ask('/login', FORGED);
    const lines = server.lines.map((line) => JSON.parse(line) as { path?: string; address?: string });
    expect(lines.filter(({ path }) => path === '/login').map(({ address }) => address)).not.toContain('6.6.6.6');
  });
});

test('an address of IPv4 is written as such, although a socket for both kinds has it as one of IPv6', async () => {
  const behind = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  await fetch(`${behind.origin}/login`, { headers: { 'x-forwarded-for': '::ffff:192.0.2.7' } });
  await behind.close();
  expect(behind.lines.map((line) => JSON.parse(line).address).filter(Boolean)).toEqual(['192.0.2.7']);
});

describe('the two paths of the token endpoint', () => {
  it.each(['/api/v1/oauth/token', '/oauth/token'])(
    '%s takes a proof for itself and refuses one for the other',
    async (path) => {
      const key = await makeKey();
      const machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
      const params = { grant_type: 'client_credentials' };
      const bound = await tokenWithProof(server, machine, key, params, path);
      expect([bound.status, bound.body.token_type]).toEqual([200, 'DPoP']);
      const other = path === '/oauth/token' ? '/api/v1/oauth/token' : '/oauth/token';
      for (const htu of [`${server.issuer}${other}`, `https://evil.example${path}`]) {
        const wrong = await requestToken(server, machine, params, {
          path,
          headers: { dpop: await dpop(key, { htm: 'POST', htu }) },
        });
        expect(wrong.body.error, htu).toBe('invalid_dpop_proof');
      }
      const get = await dpop(key, { htm: 'GET', htu: `${server.issuer}${path}` });
      expect((await requestToken(server, machine, params, { path, headers: { dpop: get } })).body.error).toBe(
        'invalid_dpop_proof',
      );
    },
  );

  it.each(['/api/v1/oauth/token', '/oauth/token'])(
    '%s takes an assertion for its own address and for the issuer',
    async (path) => {
      const key = await makeKey();
      const machine = await server.client({
        redirect_uris: [],
        grant_types: ['client_credentials'],
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...key.publicJwk, use: 'sig', alg: 'ES256' }] },
      });
      for (const audience of [`${server.issuer}${path}`, server.issuer]) {
        const params = { grant_type: 'client_credentials', ...(await assertion(key, machine.id, audience)) };
        expect((await requestToken(server, machine, params, { path })).status, audience).toBe(200);
      }
      const other = {
        grant_type: 'client_credentials',
        ...(await assertion(key, machine.id, 'https://evil.example')),
      };
      expect((await requestToken(server, machine, other, { path })).body.error).toBe('invalid_client');
      const forged = {
        grant_type: 'client_credentials',
        ...(await assertion(await makeKey(), machine.id, server.issuer)),
      };
      expect((await requestToken(server, machine, forged, { path })).body.error).toBe('invalid_client');
    },
  );

  it('share codes: a code redeemed at one is consumed at the other', async () => {
    const obtained = await obtainCode(server, client, email);
    const params = {
      grant_type: 'authorization_code',
      code: obtained.code,
      code_verifier: obtained.verifier,
      redirect_uri: 'https://acme.example/cb',
    };
    expect((await requestToken(server, client, params, { path: '/oauth/token' })).status).toBe(200);
    expect((await requestToken(server, client, params)).body.error).toBe('invalid_grant');
  });
});

describe('a redirect URI', () => {
  async function reaches(registered: string, asked: string, metadata: object = {}): Promise<boolean> {
    const app = await server.client({ redirect_uris: [registered], token_endpoint_auth_method: 'none', ...metadata });
    const { verifier, challenge } = pkce();
    const browser = new Browser(server.origin);
    const start = authorizeUrl(server, app, challenge, { redirect_uri: asked });
    const page = await browser.open(start);
    if (page.status === 400) {
      expect(page.url.origin).toBe(server.origin); // an error page, never a redirect
      expect(page.headers.get('location')).toBeNull();
      return false;
    }
    const end = await signInAndConsent(browser, page, email);
    const code = end.searchParams.get('code')!;
    expect(end.href.startsWith(new URL(asked).href.replace(/[?#].*/, ''))).toBe(true);
    expect((await redeemCode(server, app, { code, verifier }, { redirect_uri: asked })).status).toBe(200);
    return true;
  }

  it.each([
    ['http://localhost/cb', 'http://localhost:54321/cb'],
    ['http://localhost:1111/cb', 'http://localhost:2222/cb'],
    ['http://localhost:1111/cb', 'http://localhost/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:54321/cb'],
    ['http://[::1]/cb', 'http://[::1]:54321/cb'],
    ['http://localhost:1/cb?x=1', 'http://localhost:2/cb?x=1'],
    ['https://acme.example/cb', 'https://acme.example/cb'],
  ])('%s is reached by %s, whatever the type of the client', async (registered, asked) => {
    expect(await reaches(registered, asked)).toBe(true);
    if (registered.startsWith('http:'))
      expect(await reaches(registered, asked, { application_type: 'native' })).toBe(true);
  });

  it.each([
    ['http://localhost/cb', 'http://localhost:54321/other'],
    ['http://localhost/cb', 'http://localhost:54321/cb/'],
    ['http://localhost/cb', 'http://localhost:54321/cb/../cb'],
    ['http://localhost/cb', 'http://localhost:54321/CB'],
    ['http://localhost/cb', 'http://localhost:54321/cb?x=1'],
    ['http://localhost/cb', 'http://localhost:54321/%63b'],
    ['http://localhost/cb', 'https://localhost:54321/cb'],
    ['http://localhost/cb', 'http://127.0.0.1:54321/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.2:54321/cb'],
    ['http://127.0.0.1/cb', 'http://[::1]:54321/cb'],
    ['http://localhost/cb', 'http://localhost.evil.example/cb'],
    ['http://localhost/cb', 'http://localhost:54321@evil.example/cb'],
    ['http://localhost/cb', 'http://evil@localhost:54321/cb'],
    ['http://localhost/cb', 'http://localhost:54321/cb#x'],
    ['https://acme.example/cb', 'https://acme.example:8443/cb'],
    ['https://acme.example/cb', 'https://acme.example/cb/'],
    ['https://acme.example/cb', 'https://acme.example/cb?x=1'],
    ['https://acme.example/cb', 'https://acme.example/%63b'],
    ['https://acme.example/cb', 'https://ACME.example/cb'],
    ['https://acme.example/cb', 'https://www.acme.example/cb'],
    ['https://acme.example/cb', 'https://acme.example.evil.example/cb'],
    ['https://acme.example/cb', 'https://acme.example@evil.example/cb'],
    ['https://acme.example/cb', 'http://acme.example/cb'],
    ['https://acme.example/cb', 'https://acme.example/cb\\@evil.example'],
  ])('%s is not reached by %s', async (registered, asked) => {
    expect(await reaches(registered, asked)).toBe(false);
  });

  it('is required if several are registered, and rejected if sent twice', async () => {
    const app = await server.client({ redirect_uris: ['https://a.example/cb', 'https://b.example/cb'] });
    const url = new URL(authorizeUrl(server, app, pkce().challenge));
    url.searchParams.delete('redirect_uri');
    expect((await new Browser(server.origin).open(url)).status).toBe(400);
    url.searchParams.append('redirect_uri', 'https://a.example/cb');
    url.searchParams.append('redirect_uri', 'https://b.example/cb');
    const page = await new Browser(server.origin).open(url);
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
  });

  it('gets an error as JSON if the client accepts JSON', async () => {
    const path = '/oauth/authorize?client_id=unknown&response_type=code';
    const forPrograms = await ask(path, { accept: 'application/json' });
    expect([forPrograms.status, JSON.parse(forPrograms.body).error]).toEqual([400, 'invalid_client']);
    for (const accept of ['text/html,application/xhtml+xml,*/*;q=0.8', '*/*']) {
      const { status, headers } = await ask(path, { accept });
      expect([status, headers['content-type']]).toEqual([400, 'text/html; charset=utf-8']);
    }
  });

  it('is never followed for a client that does not exist', async () => {
    const page = await new Browser(server.origin).open(authorizeUrl(server, { id: 'unknown' }, pkce().challenge));
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
  });

  it('is never taken from the query when an authorization resumes', async () => {
    const app = await server.client();
    for (const query of [
      '',
      `?client_id=${app.id}`,
      `?client_id=${app.id}&redirect_uri=https://evil.example&state=x`,
    ]) {
      const page = await new Browser(server.origin).open(`/oauth/authorize/unknown${query}`);
      expect([page.status, page.url.origin]).toEqual([400, server.origin]);
      expect(page.headers.get('content-type')).toContain('text/html');
    }
  });
});
