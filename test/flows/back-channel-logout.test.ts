// An app that registered a back-channel logout URI (OpenID Connect Back-Channel Logout 1.0).
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Browser } from '../support/browser.js';
import { bodyOf, type HttpServer, openHttpServer } from '../support/http-server.js';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

describe.each(stores)('back-channel logout, with the server on $name', (store) => {
  let server: TestServer;
  let app: HttpServer;
  let received: { type: string | undefined; body: URLSearchParams }[];
  /** How many of the next requests the app answers with 503. */
  let failures: number;
  beforeAll(async () => {
    server = await startServer({ store });
    app = await openHttpServer(async (req, res) => {
      const body = new URLSearchParams(await bodyOf(req));
      if (failures > 0) {
        failures -= 1;
        res.statusCode = 503;
        return;
      }
      received.push({ type: req.headers['content-type'], body });
    });
  });
  beforeEach(() => {
    received = [];
    failures = 0;
  });
  afterAll(async () => {
    await server.close();
    await app.close();
  });

  /** Signs a new user in to a new app. */
  async function signInToApp(metadata: Record<string, unknown> = {}) {
    const account = await server.account();
    const client = await server.client({
      backchannel_logout_uri: `${app.origin}/logout`,
      backchannel_logout_session_required: true,
      ...metadata,
    });
    const config = await discover(server, client);
    const browser = browserFor(server);
    const tokens = await signIn(config, browser, account.email);
    return { account, client, config, browser, tokens, sid: tokens.claims()!.sid as string };
  }

  /** Returns the requests that the app received. */
  async function notifications() {
    await server.core.waitUntilIdle();
    return received;
  }

  const signOut = async (browser: Browser) => browser.submit(await browser.open('/logout'));

  it('sends a logout token that the app can verify', async () => {
    const { account, client, config, browser, sid } = await signInToApp();
    expect(sid).toEqual(expect.any(String));
    await signOut(browser);

    const [request, ...others] = await notifications();
    expect(others).toEqual([]);
    expect(request!.type).toMatch(/^application\/x-www-form-urlencoded/);
    expect([...request!.body.keys()]).toEqual(['logout_token']);
    const { payload } = await jwtVerify(
      request!.body.get('logout_token')!,
      createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri!)),
      { issuer: server.issuer, audience: client.id, typ: 'logout+jwt', algorithms: ['RS256'] },
    );
    expect(payload).toMatchObject({
      sub: account.id,
      sid,
      events: { [EVENT]: {} },
      jti: expect.any(String),
      iat: expect.any(Number),
      exp: expect.any(Number),
    });
    expect(payload).not.toHaveProperty('nonce');
  });

  it('notifies the app when the user signs out from another app', async () => {
    const { account, browser, sid } = await signInToApp();
    const other = await discover(server, await server.client());
    const tokens = await signIn(other, browser, account.email);
    const page = await browser.open(oidc.buildEndSessionUrl(other, { id_token_hint: tokens.id_token! }));
    await browser.submit(page, { logout: 'yes' });
    expect((await notifications()).map(sidOf)).toEqual([sid]);
  });

  it('notifies the app when the user signs out from this app', async () => {
    const { config, browser, tokens, sid } = await signInToApp();
    const page = await browser.open(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token! }));
    await browser.submit(page, { logout: 'yes' });
    expect((await notifications()).map(sidOf)).toEqual([sid]);
  });

  it('notifies the app of the session that the user revokes from another browser', async () => {
    const { account, config, browser, sid } = await signInToApp();
    const otherBrowser = browserFor(server);
    const other = await signIn(config, otherBrowser, account.email);
    expect(other.claims()!.sid).not.toBe(sid);

    const home = await otherBrowser.open('/account');
    const rows = home.html.split('<form').slice(1);
    const revocation = rows.findIndex((row, i) => row.includes('/account/logins/') && !isCurrent(home.html, i));
    await otherBrowser.submit(home, {}, revocation);
    expect((await notifications()).map(sidOf)).toEqual([sid]);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await otherBrowser.open('/account')).url.pathname).toBe('/account');
  });

  it('does not notify the app of another session of the user', async () => {
    const { account } = await signInToApp();
    const otherBrowser = browserFor(server);
    await otherBrowser.signIn(account.email, PASSWORD);
    await signOut(otherBrowser);
    expect(await notifications()).toEqual([]);
  });

  it('does not notify an app that the session was not used with', async () => {
    await signInToApp();
    const otherUser = await signInToApp({
      backchannel_logout_uri: undefined,
      backchannel_logout_session_required: undefined,
    });
    await signOut(otherUser.browser);
    expect(await notifications()).toEqual([]);
  });

  it('repeats a request that failed', async () => {
    const { browser, sid } = await signInToApp();
    failures = 1;
    await signOut(browser);
    expect((await notifications()).map(sidOf)).toEqual([sid]);
  });

  it('does not delay the sign-out of the user when the app fails', async () => {
    const { browser } = await signInToApp();
    failures = 3;
    const page = await signOut(browser);
    expect(page.html).toContain('signed out');
    expect(failures).toBeGreaterThan(0);
    failures = 0;
    await notifications();
  });

  it('cannot be requested in an open dynamic registration', async () => {
    const registration = oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { redirect_uris: ['https://acme.example/cb'], backchannel_logout_uri: `${app.origin}/logout` },
      undefined,
      { execute: [oidc.allowInsecureRequests] },
    );
    await expect(registration).rejects.toMatchObject({ error: 'invalid_client_metadata' });
  });
});

/** Reports whether the n-th form of the account page revokes the session of this browser. */
function isCurrent(html: string, n: number): boolean {
  return html.split('<form')[n]!.split('<li>').at(-1)!.includes('This browser');
}

function sidOf({ body }: { body: URLSearchParams }): string {
  return JSON.parse(Buffer.from(body.get('logout_token')!.split('.')[1]!, 'base64url').toString()).sid;
}
