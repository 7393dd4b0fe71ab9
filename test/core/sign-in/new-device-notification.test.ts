// The mail about a sign-in from a new device.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import { mailsTo } from '../../support/mailbox.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

describe.each(stores)('a sign-in from a new device on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterAll(() => server.close());

  const noticesTo = async (email: string) =>
    (await mailsTo(server, email)).filter(({ subject }) => subject === 'New sign-in to your account');

  function browserAt(address: string): Browser {
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-for': address };
    return browser;
  }

  it('is notified with the device, the address and the time', async () => {
    const { email } = await server.account();
    await browserAt('198.51.100.1').signIn(email, PASSWORD);
    expect(await noticesTo(email)).toEqual([]); // the first sign-in has no earlier one to compare with
    await browserAt('198.51.100.2').signIn(email, PASSWORD);
    const [notice, ...more] = await noticesTo(email);
    expect(more).toEqual([]);
    expect(notice!.text).toMatch(/Firefox on Linux\n.*198\.51\.100\.2\n.*20\d\d at \d\d:\d\d UTC/);
    expect(notice!.text).toContain(`${server.issuer}/account`);
    expect(notice!.html).toContain(`href="${server.issuer}/account"`);
  });

  it('is not notified for a known browser at another address', async () => {
    const { email } = await server.account();
    const browser = browserAt('198.51.100.3');
    await browser.signIn(email, PASSWORD);
    await browser.submit(await browser.open('/logout'));
    browser.headers = { ...browser.headers, 'x-forwarded-for': '198.51.100.4', 'user-agent': 'Firefox/150' };
    await browser.signIn(email, PASSWORD);
    await browser.signIn(email, PASSWORD); // a second sign-in of the same browser
    expect(await noticesTo(email)).toEqual([]);
  });

  it('is notified for a device cookie of another account or a forged one', async () => {
    const [one, other] = [await server.account(), await server.account()];
    const browser = browserAt('198.51.100.5');
    await browser.signIn(one.email, PASSWORD);
    await browserAt('198.51.100.6').signIn(other.email, PASSWORD);
    await browser.signIn(other.email, PASSWORD);
    expect(await noticesTo(other.email)).toHaveLength(1);
    const forging = browserAt('198.51.100.7');
    forging.cookies.set('signet_device', { value: '1', path: '/' });
    await forging.signIn(other.email, PASSWORD);
    expect(await noticesTo(other.email)).toHaveLength(2);
    expect(forging.cookies.get('signet_device')!.value).toMatch(/^[\w-]{43}$/);
  });

  it('is notified a limited number of times a day', async () => {
    const { email } = await server.account();
    for (let n = 0; n < 9; n += 1) await browserAt(`198.51.100.${10 + n}`).signIn(email, PASSWORD);
    expect(await noticesTo(email)).toHaveLength(5);
  });

  it('sets a device cookie that grants no access, and not before sign-in', async () => {
    const { email } = await server.account();
    const page = await new Browser(server.origin).open('/login');
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const device = browser.cookies.get('signet_device')!;
    const attacker = new Browser(server.origin);
    attacker.cookies.set('signet_device', device);
    attacker.cookies.set('signet_login', device);
    expect((await attacker.open('/account')).url.pathname).toBe('/login');
    expect(page.headers.getSetCookie().join()).not.toContain('signet_device'); // without a sign-in
    expect(JSON.stringify(await server.base.db.session.findMany())).not.toContain(device.value);
  });
});
