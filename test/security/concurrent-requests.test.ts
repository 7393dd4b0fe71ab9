import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Browser } from '../support/browser.js';
import { authorizeDevice, DEVICE_CLIENT, DEVICE_GRANT } from '../support/device.js';
import { completeSignIn } from '../support/openid-client.js';
import { refresh, requestToken, type TestClient } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { concurrently, introspect, openTokenFamily } from '../support/token-family.js';

describe('20 concurrent requests', () => {
  let server: TestServer;
  let client: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    client = await server.client();
    ({ browser, ...account } = await signedInBrowser(server));
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
    const device = await server.client(DEVICE_CLIENT);
    const { deviceCode, userCode } = await authorizeDevice(server, device);
    const confirm = await browser.submit(await browser.open('/device'), { user_code: userCode });
    await completeSignIn(browser, await browser.submit(confirm, { confirm: 'yes' }), account.email);
    const poll = { grant_type: DEVICE_GRANT, device_code: deviceCode };
    const responses = await concurrently(20, () => requestToken(server, device, poll));
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(responses.filter(({ status }) => status >= 500)).toEqual([]);
  });
});
