// An app behind a broker, in Chromium: our redirect leads to the broker, and the broker's to the
// app, whose scheme and host we do not know. Chromium checks redirects after a form against the
// policy of the page.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { bodyOf, type HttpServer, openHttpServer } from '../support/http-server.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

describe.each([true, false])('an app behind a broker, with scripts: %s', (javaScriptEnabled) => {
  let server: TestServer;
  let browser: Browser;
  let app: HttpServer;
  let broker: HttpServer;
  beforeAll(async () => {
    server = await startServer();
    browser = await launchChromium();
    app = await openHttpServer((_req, res) => res.end('the app'));
    // Another host than that of the redirect URI: an IP address has an origin of its own.
    const appUrl = app.origin.replace('localhost', '127.0.0.2');
    broker = await openHttpServer(async (req, res) => {
      const query = req.method === 'POST' ? await bodyOf(req) : new URL(req.url!, 'http://broker').search.slice(1);
      res.writeHead(303, { location: `${appUrl}/from-broker?${query}` });
    });
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([app?.close(), broker?.close(), server?.close()]);
  });

  async function openSignIn(more: Record<string, string> = {}) {
    const redirectUri = `${broker.origin}/callback`;
    const client = await server.client({
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [`${broker.origin}/bye`],
    });
    const { email } = await server.account();
    const { context, complaints } = await openContext(browser, { javaScriptEnabled });
    const page = await context.newPage();
    await page.goto(authorizeUrl(server, client, pkce().challenge, { redirect_uri: redirectUri, ...more }));
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    return { client, page, complaints };
  }

  it('gets its code after the consent, and the user returns to it after a logout', async () => {
    const { client, page, complaints } = await openSignIn();
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    await page.waitForURL('**/from-broker?*code=*');
    const query = new URLSearchParams({ client_id: client.id, post_logout_redirect_uri: `${broker.origin}/bye` });
    await page.goto(`${server.origin}/oauth/logout?${query}`);
    await page.locator('button[type=submit]').first().click();
    await page.waitForURL('**/from-broker?*');
    expect(complaints).toEqual([]);
  });

  it('gets an error if the user denies', async () => {
    const { page, complaints } = await openSignIn();
    await page.getByRole('button', { name: /Deny|Cancel/ }).click();
    await page.waitForURL('**/from-broker?*error=access_denied*');
    expect(complaints).toEqual([]);
  });

  it('gets its code in a form (form_post)', async () => {
    const { page, complaints } = await openSignIn({ response_mode: 'form_post' });
    await page.getByRole('button', { name: 'Allow', exact: true }).click();
    if (!javaScriptEnabled) await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL('**/from-broker?*code=*');
    // oidc-provider's page has no icon.
    expect(complaints.filter((complaint) => !complaint.includes('/favicon.ico'))).toEqual([]);
  });
});
