// Native apps that listen on loopback addresses, in Chromium, which checks each redirect after a
// form against the Content Security Policy of the page.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { launchChromium, openContext } from '../support/chromium.js';
import { registerDynamically } from '../support/registration.js';
import { authorizeUrl, pkce } from '../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

let server: TestServer;
let browser: Browser;
beforeAll(async () => {
  server = await startServer();
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  await server.close();
});

it.each(['::1', '127.0.0.1', '127.0.0.2'])(
  'an app at %s receives its code with and without a consent page',
  async (host) => {
    const app: Server = createServer((_req, res) => res.end('signed in'));
    await new Promise<void>((resolve) => app.listen(0, host, resolve));
    try {
      const redirectUri = `http://${host.includes(':') ? `[${host}]` : host}:${(app.address() as AddressInfo).port}/cb`;
      const client = await registerDynamically(server, { redirect_uris: [redirectUri] });
      const { email } = await server.account();
      const start = authorizeUrl(server, client, pkce().challenge, { redirect_uri: redirectUri });
      for (const asksForConsent of [true, false]) {
        const { context, complaints } = await openContext(browser, { javaScriptEnabled: false });
        const page = await context.newPage();
        await page.goto(start);
        await page.getByLabel('E-mail').fill(email);
        await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
        await page.getByRole('button', { name: 'Sign in', exact: true }).click();
        if (asksForConsent) await page.getByRole('button', { name: 'Allow', exact: true }).click();
        await page.waitForURL(`${redirectUri}?**`);
        expect(new URL(page.url()).searchParams.get('code')).toBeTruthy();
        expect(complaints).toEqual([]);
        await context.close();
      }
    } finally {
      app.closeAllConnections();
      app.close();
    }
  },
);
