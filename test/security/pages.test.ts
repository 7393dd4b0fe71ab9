// Security headers and escaping of all pages (RFC 9700, section 4.16).

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, type Page } from '../support/browser.js';
import { authorizeDevice, DEVICE_CLIENT, DEVICE_GRANT } from '../support/device.js';
import { isConsent } from '../support/openid-client.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce, type TestClient } from '../support/relying-party.js';
import { postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';

describe('pages', () => {
  let server: TestServer;
  let client: TestClient;
  let device: TestClient;
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer();
    client = await server.client({ post_logout_redirect_uris: ['https://acme.example/bye'] });
    device = await server.client(DEVICE_CLIENT);
    ({ browser } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const userCode = async () => (await authorizeDevice(server, device)).userCode;

  it('cannot be framed, and have a strict Content-Security-Policy', async () => {
    const signedOut = new Browser(server.origin);
    const code = await userCode();
    const input = await browser.open('/device');
    const pages: Record<string, Page> = {
      home: await signedOut.open('/'),
      'sign-in': await signedOut.open('/login'),
      'sign-in of an app': await signedOut.open(authorizeUrl(server, client, pkce().challenge)),
      'a wrong password': await signedOut.signIn('unknown@example.com', 'a wrong password'),
      register: await signedOut.open('/register'),
      consent: await browser.open(authorizeUrl(server, await registerDynamically(server), pkce().challenge)),
      account: await browser.open('/account'),
      device: input,
      'device with a wrong code': await browser.submit(input, { user_code: 'XXXX-XXXX' }),
      'device confirmation': await browser.submit(await browser.open('/device'), { user_code: code }),
      'device from a link': await browser.open(`/device?user_code=${code}`),
      'sign-out of an app': await browser.open('/oauth/logout'),
      'sign-out': await browser.open('/logout'),
      'signed out': await signedOut.open('/logout'),
      'signed out of an app': await signedOut.open('/oauth/logout/success'),
      'error of an app': await browser.open(authorizeUrl(server, { id: 'unknown' }, pkce().challenge)),
      'error of a link': await signedOut.open('/setup?token=unknown'),
      'no such page': await signedOut.open('/unknown'),
      'malformed address': await signedOut.open('/%'),
      'an expired step': await signedOut.open('/interaction/unknown'),
      'a form without its token': await browser.open('/login', { method: 'POST', body: new URLSearchParams('csrf=x') }),
    };
    expect(isConsent(pages.consent!)).toBe(true);
    for (const [name, { headers, html }] of Object.entries(pages)) {
      expect(html, name).toContain('</html>');
      expect(headers.get('x-frame-options'), name).toBe('DENY');
      expect(headers.get('x-content-type-options'), name).toBe('nosniff');
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy, name).toContain("frame-ancestors 'none'");
      expect(policy, name).toContain("default-src 'none'");
      expect(policy, name).toContain("base-uri 'none'");
      expect(policy, name).not.toMatch(/unsafe-inline|unsafe-eval|script-src[^;]*\*/);
      expect(html, name).not.toMatch(/<[^>]*\son\w+=|style="|<style/i);
      // The only inline script submits a form, and the policy allows it by its hash.
      const [, script] = /<script>([\s\S]*?)<\/script>/.exec(html) ?? [];
      const hash = script && createHash('sha256').update(script).digest('base64');
      expect(/script-src ?([^;]*)/.exec(policy)?.[1] ?? '', name).toBe(hash ? `'sha256-${hash}'` : '');
      expect(html.match(/<script/gi)?.length ?? 0, name).toBe(script ? 1 : 0);
      expect(headers.get('cache-control'), name).toContain('no-store');
    }
  });

  it('escape all values from clients and users', async () => {
    const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`;
    const app = await registerDynamically(server, {
      client_name: evil,
      grant_types: ['authorization_code', DEVICE_GRANT],
      client_uri: 'https://acme.example/"onclick=alert(1)',
    });
    const { json } = await postForm(server, '/oauth/device', {}, { client: app, headers: { 'user-agent': evil } });
    const evilBrowser = new Browser(server.origin);
    evilBrowser.headers = { ...evilBrowser.headers, 'user-agent': evil };
    const accountPage = await evilBrowser.submit(await evilBrowser.open('/register'), {
      name: evil,
      email: 'markup@example.com',
      password: PASSWORD,
    });
    expect(accountPage.url.pathname).toBe('/account');
    const more = { state: evil, nonce: evil, login_hint: evil };
    const pages = [
      accountPage,
      await new Browser(server.origin).open(authorizeUrl(server, app, pkce().challenge, more)),
      await evilBrowser.open(authorizeUrl(server, app, pkce().challenge, more)),
      await evilBrowser.open(
        authorizeUrl(server, client, pkce().challenge, { ...more, response_mode: 'form_post', prompt: 'none' }),
      ),
      await evilBrowser.open(authorizeUrl(server, { id: evil }, pkce().challenge, more)),
      await evilBrowser.open(authorizeUrl(server, app, pkce().challenge, { ...more, redirect_uri: evil })),
      await evilBrowser.submit(await evilBrowser.open('/device'), { user_code: evil }),
      await evilBrowser.submit(await evilBrowser.open('/device'), { user_code: String(json.user_code) }),
      await evilBrowser.open(
        `/login?${new URLSearchParams({ login_hint: evil, app: evil, proof: evil, return_to: `/${evil}` })}`,
      ),
      await evilBrowser.open(
        `/oauth/logout?${new URLSearchParams({ state: evil, client_id: evil, id_token_hint: evil })}`,
      ),
      await evilBrowser.open(`/oauth/logout/success?${new URLSearchParams({ client_id: app.id })}`),
      await evilBrowser.open(`/setup?${new URLSearchParams({ token: evil })}`),
      await evilBrowser.open(`/${encodeURIComponent(evil)}`),
      await evilBrowser.signIn(`${evil}@example.com`, 'a wrong password'),
    ];
    for (const { html, url } of pages) {
      expect(html, url.pathname).toContain('</html>');
      expect(html, url.pathname).not.toMatch(/<script>alert|<img src=x|"onclick=/);
    }
    expect(pages.filter(({ html }) => html.includes('&lt;script&gt;alert(1)')).length).toBeGreaterThan(4);
  });
});
