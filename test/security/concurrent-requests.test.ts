import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.js';
import { completeSignIn } from '../support/openid-client.js';
import { refresh, requestToken, type TestClient } from '../support/relying-party.js';
import { postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { concurrently, introspect, openTokenFamily } from '../support/token-family.js';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

describe('20 concurrent requests', () => {
  let server: TestServer;
  let client: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
    account = await server.account();
    browser = new Browser(server.origin);
    await browser.signIn(account.email, PASSWORD);
  });
  afterAll(() => server.close());

  it('to redeem a refresh token leave one active successor', async () => {
    const { refreshToken } = await openTokenFamily(server, client, account.email, {}, browser);
    const responses = await concurrently(20, () => refresh(server, client, refreshToken));
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
    const issued = responses.flatMap(({ body }) => (body.refresh_token ? [body.refresh_token] : []));
    expect(issued.length).toBeGreaterThan(0);
    const introspected = await Promise.all(issued.map((token) => introspect(server, client, token)));
    expect(introspected.filter(({ body }) => body.active)).toHaveLength(1);
  });

  it('to redeem a device code succeed once', async () => {
    const device = await server.client({
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
      token_endpoint_auth_method: 'none',
    });
    const { json } = await postForm(server, '/oauth/device', { scope: 'openid' }, { client: device });
    const confirm = await browser.submit(await browser.open('/device'), { user_code: String(json.user_code) });
    await completeSignIn(browser, await browser.submit(confirm, { confirm: 'yes' }), account.email);
    const poll = { grant_type: DEVICE_GRANT, device_code: String(json.device_code) };
    const responses = await concurrently(20, () => requestToken(server, device, poll));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
  });
});
