// What is stored of a code after its redemption: only what the detection of its reuse needs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import { authorizeDevice, DEVICE_CLIENT, DEVICE_GRANT } from '../../support/device.js';
import {
  isActive,
  obtainCode,
  redeemCode,
  refresh,
  requestToken,
  signInAndConsent,
} from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('a redeemed code on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  async function stored(kind: string, code: string) {
    const { store, idOf } = server.core.oauthStorage;
    return (await store.get(kind, idOf(code)))?.payload ?? {};
  }

  it('keeps only the members that a second redemption is compared with', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const obtained = await obtainCode(server, client, email, { claims: '{"userinfo":{"name":null}}' });
    expect(await stored('AuthorizationCode', obtained.code)).toMatchObject({
      nonce: 'nonce-1',
      scope: expect.any(String),
    });
    const { body } = await redeemCode(server, client, obtained);
    const remaining = await stored('AuthorizationCode', obtained.code);
    expect(Object.keys(remaining).sort()).toEqual([
      'accountId',
      'clientId',
      'codeChallenge',
      'codeChallengeMethod',
      'exp',
      'grantId',
      'iat',
      'kind',
      'redirectUri',
    ]);
    const wrongUri = { redirect_uri: 'https://acme.example/other' };
    expect((await redeemCode(server, client, obtained, wrongUri)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!), 'after a request with another redirect URI').toBe(true);
    expect((await redeemCode(server, client, obtained)).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!), 'after the second redemption').toBe(false);
    expect((await refresh(server, client, body.refresh_token!)).body.error).toBe('invalid_grant');
  });

  it('keeps neither the scopes nor the device of a device code, and detects its reuse', async () => {
    const client = await server.client({ ...DEVICE_CLIENT, grant_types: [DEVICE_GRANT, 'refresh_token'] });
    const { email } = await server.account();
    const { deviceCode, userCode } = await authorizeDevice(server, client);
    expect(await stored('DeviceCode', deviceCode)).toMatchObject({ deviceInfo: expect.any(Object) });
    const browser = new Browser(server.origin);
    const enterCode = async () => browser.submit(await browser.open('/device'), { user_code: userCode });
    await signInAndConsent(browser, await browser.submit(await enterCode(), { confirm: 'yes' }), email);
    const poll = () => requestToken(server, client, { grant_type: DEVICE_GRANT, device_code: deviceCode });
    const { body } = await poll();
    expect(await isActive(server, body.access_token!)).toBe(true);
    const remaining = await stored('DeviceCode', deviceCode);
    expect(Object.keys(remaining).sort()).toEqual(['accountId', 'clientId', 'exp', 'grantId', 'iat', 'kind']);
    expect((await enterCode()).html).not.toContain('Is this the code on your device?');
    expect((await poll()).body.error).toBe('invalid_grant');
    expect(await isActive(server, body.access_token!)).toBe(false);
  });

  it('keeps that a device code was rejected by the user', async () => {
    const client = await server.client(DEVICE_CLIENT);
    const { deviceCode, userCode } = await authorizeDevice(server, client);
    const browser = new Browser(server.origin);
    await browser.submit(await browser.submit(await browser.open('/device'), { user_code: userCode }), {
      abort: 'yes',
    });
    const poll = () => requestToken(server, client, { grant_type: DEVICE_GRANT, device_code: deviceCode });
    expect((await poll()).body.error).toBe('access_denied');
    expect(Object.keys(await stored('DeviceCode', deviceCode)).sort()).toEqual([
      'clientId',
      'error',
      'exp',
      'iat',
      'kind',
    ]);
    expect((await poll()).body.error).toBe('invalid_grant');
  });
});
