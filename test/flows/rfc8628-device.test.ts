// The device authorization grant (RFC 8628), by openid-client and a browser.

import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { formsOf, type Page } from '../support/browser.js';
import { DEVICE_GRANT } from '../support/device.js';
import { browserFor, completeSignIn, discover } from '../support/openid-client.js';
import { postForm } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

describe.each(stores)('the device authorization grant, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** Starts an authorization on a device, for a user with a browser on another device. */
  async function startDevice() {
    const client = await server.client({
      client_name: 'Living room',
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT, 'refresh_token'],
      redirect_uris: [],
    });
    const config = await discover(server, client);
    const device = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email offline_access' });
    return { account: await server.account(), config, device, browser: browserFor(server) };
  }

  const pollOnce = (config: oidc.Configuration, deviceCode: string) =>
    oidc.genericGrantRequest(config, DEVICE_GRANT, { device_code: deviceCode });

  const poll = (config: oidc.Configuration, device: Awaited<ReturnType<typeof oidc.initiateDeviceAuthorization>>) =>
    oidc.pollDeviceAuthorizationGrant(config, { ...device, interval: 0.05 });

  const isConfirmation = (page: Page) => page.html.includes('Is this the code on your device?');

  it('issues tokens after the user entered and confirmed the code, signed in and consented', async () => {
    const { account, config, device, browser } = await startDevice();
    expect(device.verification_uri).toBe(`${server.issuer}/device`);
    expect(device.user_code).toMatch(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    const tokens = poll(config, device);

    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code.toLowerCase().replace('-', ' ') });
    expect(isConfirmation(confirmation)).toBe(true);
    expect(confirmation.html).toContain(device.user_code);
    expect(confirmation.html).toContain('Living room');
    const lastPage = await completeSignIn(
      browser,
      await browser.submit(confirmation, { confirm: 'yes' }),
      account.email,
    );
    expect(lastPage.html).toContain('Your device is connected');

    expect((await tokens).claims()).toMatchObject({ sub: account.id, email: account.email });
    expect((await oidc.refreshTokenGrant(config, (await tokens).refresh_token!)).token_type).toBe('bearer');
  });

  it('fills in the code of verification_uri_complete', async () => {
    const { account, config, device, browser } = await startDevice();
    const page = await browser.open(device.verification_uri_complete!);
    expect(formsOf(page.html)[0]!.fields).toMatchObject({ user_code: device.user_code }); // submits itself
    const confirmation = await browser.submit(page);
    expect(isConfirmation(confirmation)).toBe(true); // the user still compares the code
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    expect((await poll(config, device)).claims()?.sub).toBe(account.id);
  });

  it('returns authorization_pending until the user has decided', async () => {
    const { account, config, device, browser } = await startDevice();
    const pending = { error: 'authorization_pending' };
    await expect(pollOnce(config, device.device_code)).rejects.toMatchObject(pending);
    const confirmation = await browser.submit(await browser.open(device.verification_uri), {
      user_code: device.user_code,
    });
    const signIn = await browser.submit(confirmation, { confirm: 'yes' });
    await expect(pollOnce(config, device.device_code)).rejects.toMatchObject(pending);
    await completeSignIn(browser, signIn, account.email);
    expect((await pollOnce(config, device.device_code)).token_type).toBe('bearer');
  });

  it('returns access_denied when the user rejects the device', async () => {
    const { config, device, browser } = await startDevice();
    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code });
    const lastPage = await browser.submit(confirmation, { abort: 'yes' });
    expect(lastPage.html).toContain('The device was not connected');
    await expect(poll(config, device)).rejects.toMatchObject({ error: 'access_denied' });
  });

  it('returns access_denied when the user denies consent', async () => {
    const { account, config, device, browser } = await startDevice();
    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code });
    const signIn = await browser.submit(confirmation, { confirm: 'yes' });
    const consent = await browser.signIn(account.email, PASSWORD, signIn);
    const lastPage = await browser.submit(consent, { decision: 'deny' });
    expect(lastPage.html).toContain('The device was not connected');
    await expect(poll(config, device)).rejects.toMatchObject({ error: 'access_denied' });
  });

  it('issues tokens once, and revokes them when the device code is reused', async () => {
    const { account, config, device, browser } = await startDevice();
    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code });
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    const tokens = await pollOnce(config, device.device_code);
    await expect(pollOnce(config, device.device_code)).rejects.toMatchObject({ error: 'invalid_grant' });
    await expect(oidc.fetchUserInfo(config, tokens.access_token, account.id)).rejects.toMatchObject({ status: 401 });
  });

  it('accepts a user code once', async () => {
    const { account, device, browser } = await startDevice();
    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code });
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    const again = await browser.submit(await browser.open('/device'), { user_code: device.user_code });
    expect(again.html).toContain('The code is wrong or has expired.');
  });

  it.each(['WXYZ-WXYZ', '', '<b>'])('rejects the unknown user code %j', async (userCode) => {
    const browser = browserFor(server);
    const page = await browser.submit(await browser.open('/device'), { user_code: userCode });
    expect(page.html).toContain('The code is wrong or has expired.');
    expect(page.html).not.toContain('<b>');
  });

  it('rejects a confirmation without the CSRF token', async () => {
    const { config, device, browser } = await startDevice();
    await browser.submit(await browser.open('/device'), { user_code: device.user_code });
    const page = await browser.submit(await browser.open('/device'), {
      user_code: device.user_code,
      xsrf: 'guessed',
      confirm: 'yes',
    });
    expect(isConfirmation(page)).toBe(false);
    await expect(pollOnce(config, device.device_code)).rejects.toMatchObject({ error: 'authorization_pending' });
  });

  it('rejects an unknown device code', async () => {
    const { config } = await startDevice();
    await expect(pollOnce(config, 'made-up')).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('rejects both codes after their expiry', async () => {
    const { config, device, browser } = await startDevice();
    expect(device.expires_in).toBe(600);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11 * 60_000 });
    try {
      const page = await browser.submit(await browser.open('/device'), { user_code: device.user_code });
      expect(page.html).toContain('The code is wrong or has expired.');
      await expect(pollOnce(config, device.device_code)).rejects.toMatchObject({ error: 'expired_token' });
    } finally {
      vi.useRealTimers();
    }
  });

  it('shows the form again when its CSRF token has expired', async () => {
    const { status, headers } = await postForm(server, '/device', { user_code: 'WDJB-MJHT', xsrf: 'expired' });
    expect([status, headers.location]).toEqual([303, '/device']);
  });
});
