// Redirect URIs of authorization requests. core/clients/metadata.test.ts covers their comparison.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import { authorizeUrl, pkce, redeemCode, signInAndConsent } from '../../support/relying-party.js';
import { sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let email: string;
beforeAll(async () => {
  server = await startServer();
  ({ email } = await server.account());
});
afterAll(() => server.close());

/** Reports whether a public client gets a code at the requested redirect URI. */
async function receivesCode(registered: string, requested: string, metadata: object = {}): Promise<boolean> {
  const app = await server.client({ redirect_uris: [registered], token_endpoint_auth_method: 'none', ...metadata });
  const { verifier, challenge } = pkce();
  const browser = new Browser(server.origin);
  const page = await browser.open(authorizeUrl(server, app, challenge, { redirect_uri: requested }));
  if (page.status === 400) {
    expect(page.url.origin).toBe(server.origin); // an error page, never a redirect
    expect(page.headers.get('location')).toBeNull();
    return false;
  }
  const redirect = await signInAndConsent(browser, page, email);
  const code = redirect.searchParams.get('code')!;
  expect(redirect.href.startsWith(new URL(requested).href.replace(/[?#].*/, ''))).toBe(true);
  expect((await redeemCode(server, app, { code, verifier }, { redirect_uri: requested })).status).toBe(200);
  return true;
}

describe('an authorization request', () => {
  it.each([
    ['http://localhost/cb', 'http://localhost:54321/cb'],
    ['http://localhost:1111/cb', 'http://localhost/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:54321/cb'],
    ['http://[::1]/cb', 'http://[::1]:54321/cb'],
    ['http://localhost:1/cb?x=1', 'http://localhost:2/cb?x=1'],
  ])('can use another port of the loopback redirect URI %s: %s', async (registered, requested) => {
    expect(await receivesCode(registered, requested)).toBe(true);
    expect(await receivesCode(registered, requested, { application_type: 'native' })).toBe(true);
  });

  it('can use the registered https redirect URI', async () => {
    expect(await receivesCode('https://acme.example/cb', 'https://acme.example/cb')).toBe(true);
  });

  it.each([
    ['http://localhost/cb', 'http://localhost:54321/other'],
    ['http://localhost/cb', 'http://127.0.0.1:54321/cb'],
    ['http://localhost/cb', 'http://localhost.evil.example/cb'],
    ['http://localhost/cb', 'http://localhost:54321@evil.example/cb'],
    ['http://localhost/cb', 'http://localhost:54321/cb#x'],
    ['https://acme.example/cb', 'https://acme.example:8443/cb'],
    ['https://acme.example/cb', 'https://acme.example/cb/'],
    ['https://acme.example/cb', 'https://acme.example/cb?x=1'],
    ['https://acme.example/cb', 'https://acme.example/%63b'],
    ['https://acme.example/cb', 'https://ACME.example/cb'],
    ['https://acme.example/cb', 'https://acme.example.evil.example/cb'],
    ['https://acme.example/cb', 'https://acme.example@evil.example/cb'],
    ['https://acme.example/cb', 'http://acme.example/cb'],
    ['https://acme.example/cb', 'https://acme.example/cb\\@evil.example'],
  ])('cannot replace the redirect URI %s by %s', async (registered, requested) => {
    expect(await receivesCode(registered, requested)).toBe(false);
  });

  it('is rejected without a redirect URI if several are registered, and with two', async () => {
    const app = await server.client({ redirect_uris: ['https://a.example/cb', 'https://b.example/cb'] });
    const url = new URL(authorizeUrl(server, app, pkce().challenge));
    url.searchParams.delete('redirect_uri');
    expect((await new Browser(server.origin).open(url)).status).toBe(400);
    url.searchParams.append('redirect_uri', 'https://a.example/cb');
    url.searchParams.append('redirect_uri', 'https://b.example/cb');
    const page = await new Browser(server.origin).open(url);
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
  });

  it('is not redirected for an unknown client', async () => {
    const page = await new Browser(server.origin).open(authorizeUrl(server, { id: 'unknown' }, pkce().challenge));
    expect([page.status, page.url.origin]).toEqual([400, server.origin]);
  });

  it('gets an error page, or JSON if the caller accepts JSON', async () => {
    const path = '/oauth/authorize?client_id=unknown&response_type=code';
    const forPrograms = await sendRequest(server, 'GET', path, { accept: 'application/json' });
    expect([forPrograms.status, forPrograms.json.error]).toEqual([400, 'invalid_client']);
    for (const accept of ['text/html,application/xhtml+xml,*/*;q=0.8', '*/*']) {
      const { status, headers } = await sendRequest(server, 'GET', path, { accept });
      expect([status, headers['content-type']]).toEqual([400, 'text/html; charset=utf-8']);
    }
  });

  it('does not take the redirect URI from the query when it resumes', async () => {
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
