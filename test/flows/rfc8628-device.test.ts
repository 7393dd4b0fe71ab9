import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { formsOf, type Page } from '../support/browser.js';
import { browserFor, completeSignIn, discover } from '../support/openid-client.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

describe.each(stores)('a device without a keyboard, with the house on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  /** A device that shows a code, and a user with a browser on another device. */
  async function provisioning() {
    const client = await server.client({
      client_name: 'Living room',
      token_endpoint_auth_method: 'none',
      grant_types: [GRANT, 'refresh_token'],
      redirect_uris: [],
    });
    const config = await discover(server, client);
    const shown = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email offline_access' });
    return { account: await server.account(), config, shown, browser: browserFor(server) };
  }

  const askOnce = (config: oidc.Configuration, deviceCode: string) =>
    oidc.genericGrantRequest(config, GRANT, { device_code: deviceCode });

  const poll = (config: oidc.Configuration, shown: Awaited<ReturnType<typeof oidc.initiateDeviceAuthorization>>) =>
    oidc.pollDeviceAuthorizationGrant(config, { ...shown, interval: 0.05 });

  const isConfirmation = (page: Page) => page.html.includes('Is this the code on your device?');

  it('gets its tokens when the person types the code, says it is theirs, signs in and allows it', async () => {
    const { account, config, shown, browser } = await provisioning();
    expect(shown.verification_uri).toBe(`${server.issuer}/device`);
    expect(shown.user_code).toMatch(/^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    const tokens = poll(config, shown);

    const input = await browser.open(shown.verification_uri);
    const confirmation = await browser.submit(input, { user_code: shown.user_code.toLowerCase().replace('-', ' ') });
    expect(isConfirmation(confirmation)).toBe(true);
    expect(confirmation.html).toContain(shown.user_code);
    expect(confirmation.html).toContain('Living room');
    const done = await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    expect(done.html).toContain('Your device is connected');

    expect((await tokens).claims()).toMatchObject({ sub: account.id, email: account.email });
    expect((await oidc.refreshTokenGrant(config, (await tokens).refresh_token!)).token_type).toBe('bearer');
  });

  it('needs no typing when the person opens the address with the code in it', async () => {
    const { account, config, shown, browser } = await provisioning();
    const page = await browser.open(shown.verification_uri_complete!);
    expect(formsOf(page.html)[0]!.fields).toMatchObject({ user_code: shown.user_code }); // submits itself
    const confirmation = await browser.submit(page);
    expect(isConfirmation(confirmation)).toBe(true); // the person still compares the code
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    expect((await poll(config, shown)).claims()?.sub).toBe(account.id);
  });

  it('waits while the person has not decided', async () => {
    const { account, config, shown, browser } = await provisioning();
    const pending = { error: 'authorization_pending' };
    await expect(askOnce(config, shown.device_code)).rejects.toMatchObject(pending);
    const confirmation = await browser.submit(await browser.open(shown.verification_uri), {
      user_code: shown.user_code,
    });
    const signIn = await browser.submit(confirmation, { confirm: 'yes' });
    await expect(askOnce(config, shown.device_code)).rejects.toMatchObject(pending);
    await completeSignIn(browser, signIn, account.email);
    expect((await askOnce(config, shown.device_code)).token_type).toBe('bearer');
  });

  it('is told no when the person does not know the device', async () => {
    const { config, shown, browser } = await provisioning();
    const input = await browser.open(shown.verification_uri);
    const confirmation = await browser.submit(input, { user_code: shown.user_code });
    const done = await browser.submit(confirmation, { abort: 'yes' });
    expect(done.html).toContain('The device was not connected');
    await expect(poll(config, shown)).rejects.toMatchObject({ error: 'access_denied' });
  });

  it('is told no when the person refuses consent', async () => {
    const { account, config, shown, browser } = await provisioning();
    const input = await browser.open(shown.verification_uri);
    const confirmation = await browser.submit(input, { user_code: shown.user_code });
    const signIn = await browser.submit(confirmation, { confirm: 'yes' });
    const consent = await browser.signIn(account.email, 'correct horse battery', signIn);
    const done = await browser.submit(consent, { decision: 'deny' });
    expect(done.html).toContain('The device was not connected');
    await expect(poll(config, shown)).rejects.toMatchObject({ error: 'access_denied' });
  });

  it('gets its tokens once', async () => {
    const { account, config, shown, browser } = await provisioning();
    const input = await browser.open(shown.verification_uri);
    const confirmation = await browser.submit(input, { user_code: shown.user_code });
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    const tokens = await askOnce(config, shown.device_code);
    await expect(askOnce(config, shown.device_code)).rejects.toMatchObject({ error: 'invalid_grant' });
    // A second redemption can be theft, so the tokens of the first are revoked.
    await expect(oidc.fetchUserInfo(config, tokens.access_token, account.id)).rejects.toMatchObject({ status: 401 });
  });

  it('cannot be approved twice with one code', async () => {
    const { account, shown, browser } = await provisioning();
    const input = await browser.open(shown.verification_uri);
    const confirmation = await browser.submit(input, { user_code: shown.user_code });
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    const again = await browser.submit(await browser.open('/device'), { user_code: shown.user_code });
    expect(again.html).toContain('The code is wrong or has expired.');
  });

  it.each(['WXYZ-WXYZ', '', '<b>'])('is not found by the code %j', async (userCode) => {
    const browser = browserFor(server);
    const page = await browser.submit(await browser.open('/device'), { user_code: userCode });
    expect(page.html).toContain('The code is wrong or has expired.');
    expect(page.html).not.toContain('<b>');
  });

  it('is not confirmed by a form from another page', async () => {
    const { config, shown, browser } = await provisioning();
    await browser.submit(await browser.open('/device'), { user_code: shown.user_code });
    const page = await browser.submit(await browser.open('/device'), {
      user_code: shown.user_code,
      xsrf: 'guessed',
      confirm: 'yes',
    });
    expect(isConfirmation(page)).toBe(false);
    await expect(askOnce(config, shown.device_code)).rejects.toMatchObject({ error: 'authorization_pending' });
  });

  it('is told that its code is nothing when it made one up', async () => {
    const { config } = await provisioning();
    await expect(askOnce(config, 'made-up')).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('is told that its code has expired, and so is the person', async () => {
    const { config, shown, browser } = await provisioning();
    expect(shown.expires_in).toBe(600);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 11 * 60_000 });
    try {
      const page = await browser.submit(await browser.open('/device'), { user_code: shown.user_code });
      expect(page.html).toContain('The code is wrong or has expired.');
      await expect(askOnce(config, shown.device_code)).rejects.toMatchObject({ error: 'expired_token' });
    } finally {
      vi.useRealTimers();
    }
  });

  it('shows the form again to a browser that no longer knows the page it came from', async () => {
    const response = await fetch(`${server.origin}/device`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ user_code: 'WDJB-MJHT', xsrf: 'from-yesterday' }),
    });
    expect([response.status, response.headers.get('location')]).toEqual([303, '/device']);
  });
});
