import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Browser } from '../support/browser.js';
import { bodyOf, type HttpServer, openHttpServer } from '../support/http-server.js';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

describe.each(stores)('an app that wants to hear of sign-outs, with the house on $name', (store) => {
  let server: TestServer;
  let app: HttpServer;
  let heard: { type: string | undefined; body: URLSearchParams }[];
  /** How many of the next calls the app fails to take. */
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
      heard.push({ type: req.headers['content-type'], body });
    });
  });
  beforeEach(() => {
    heard = [];
    failures = 0;
  });
  afterAll(async () => {
    await server.close();
    await app.close();
  });

  /** A person who is signed in at the app, with what the app knows of it. */
  async function signedIn(metadata: Record<string, unknown> = {}) {
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

  /** What the app was told, in the end. */
  async function told() {
    await server.core.settle();
    return heard;
  }

  const signOut = async (browser: Browser) => browser.submit(await browser.open('/logout'));

  it('is told by a logout token that it can verify', async () => {
    const { account, client, config, browser, sid } = await signedIn();
    expect(sid).toEqual(expect.any(String));
    await signOut(browser);

    const [call, ...others] = await told();
    expect(others).toEqual([]);
    expect(call!.type).toMatch(/^application\/x-www-form-urlencoded/);
    expect([...call!.body.keys()]).toEqual(['logout_token']);
    const { payload } = await jwtVerify(
      call!.body.get('logout_token')!,
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

  it('is told when the person signs out from another app', async () => {
    const { account, browser, sid } = await signedIn();
    const other = await discover(server, await server.client());
    const tokens = await signIn(other, browser, account.email);
    const page = await browser.open(oidc.buildEndSessionUrl(other, { id_token_hint: tokens.id_token! }));
    await browser.submit(page, { logout: 'yes' });
    expect((await told()).map(sidOf)).toEqual([sid]);
  });

  it('is told when the person signs out from this very app', async () => {
    const { config, browser, tokens, sid } = await signedIn();
    const page = await browser.open(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token! }));
    await browser.submit(page, { logout: 'yes' });
    expect((await told()).map(sidOf)).toEqual([sid]);
  });

  it('is told when the login is ended from the account page of another browser, and only of that login', async () => {
    const { account, config, browser, sid } = await signedIn();
    const otherBrowser = browserFor(server);
    const other = await signIn(config, otherBrowser, account.email);
    expect(other.claims()!.sid).not.toBe(sid);

    const home = await otherBrowser.open('/account');
    const rows = home.html.split('<form').slice(1);
    const ending = rows.findIndex((row, i) => row.includes('/account/logins/') && !isCurrent(home.html, i));
    await otherBrowser.submit(home, {}, ending);
    expect((await told()).map(sidOf)).toEqual([sid]);
    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await otherBrowser.open('/account')).url.pathname).toBe('/account');
  });

  it('hears nothing when another login of the same person ends', async () => {
    const { account } = await signedIn();
    const otherBrowser = browserFor(server);
    await otherBrowser.signIn(account.email, 'correct horse battery');
    await signOut(otherBrowser);
    expect(await told()).toEqual([]);
  });

  it('hears nothing of a login that it was not used with', async () => {
    await signedIn();
    const stranger = await signedIn({
      backchannel_logout_uri: undefined,
      backchannel_logout_session_required: undefined,
    });
    await signOut(stranger.browser);
    expect(await told()).toEqual([]);
  });

  it('is told again when it did not answer the first time', async () => {
    const { browser, sid } = await signedIn();
    failures = 1;
    await signOut(browser);
    expect((await told()).map(sidOf)).toEqual([sid]);
  });

  it('does not keep the person waiting when it does not answer', async () => {
    const { browser } = await signedIn();
    failures = 3;
    const page = await signOut(browser);
    expect(page.html).toContain('signed out');
    expect(failures).toBeGreaterThan(0);
    failures = 0;
    await told();
  });

  it('cannot be a stranger: who registers without a token may not name such an address', async () => {
    const registration = oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { redirect_uris: ['https://acme.example/cb'], backchannel_logout_uri: `${app.origin}/logout` },
      undefined,
      { execute: [oidc.allowInsecureRequests] },
    );
    await expect(registration).rejects.toMatchObject({ error: 'invalid_client_metadata' });
  });
});

/** Whether the n-th form of the account page ends the login that shows it. */
function isCurrent(html: string, n: number): boolean {
  return html.split('<form')[n]!.split('<li>').at(-1)!.includes('This browser');
}

function sidOf({ body }: { body: URLSearchParams }): string {
  return JSON.parse(Buffer.from(body.get('logout_token')!.split('.')[1]!, 'base64url').toString()).sid;
}
