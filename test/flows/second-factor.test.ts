// The setup, use and removal of a second factor on the security page.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../src/base/paging.js';
import { Authenticator, readQrCode } from '../support/authenticator.js';
import { Browser, type Page } from '../support/browser.js';
import { movableClock } from '../support/movable-clock.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const MINUTE_MS = 60_000;
const SECURITY = '/account/security';

describe.each(stores)('the security page on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  const codesOn = ({ html }: Page) => [...html.matchAll(/<code>([\d-]+)<\/code>/g)].map(([, code = '']) => code);
  /** Returns the index of the form that posts to the path. */
  const formTo = ({ html }: Page, action: string) =>
    [...html.matchAll(/<form[^>]* action="([^"]*)"/g)].findIndex(([, to]) => to === action);
  const press = (browser: Browser, page: Page, action: string) =>
    browser.submit(page, {}, formTo(page, `${SECURITY}/${action}`));

  function scan({ html }: Page): Authenticator {
    const svg = Buffer.from(/src="data:image\/svg\+xml;base64,([^"]+)"/.exec(html)?.[1] ?? '', 'base64').toString();
    return Authenticator.scan(readQrCode(svg) ?? '');
  }

  /** Sets an authenticator app up. */
  async function setUp(browser: Browser) {
    const page = await press(browser, await browser.open(SECURITY), 'factor');
    const app = scan(page);
    const confirmed = await browser.submit(
      page,
      { otp: app.code(clock.now()) },
      formTo(page, `${SECURITY}/factor/confirm`),
    );
    return { app, page, confirmed, codes: codesOn(confirmed) };
  }

  async function signInNewUser() {
    const { email, id } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    return { email, id, browser };
  }

  it('replaces a lost authenticator app after a sign-in with a recovery code', async () => {
    const { email, id, browser } = await signInNewUser();
    const { codes, confirmed, app: lost } = await setUp(browser);
    expect(codes).toHaveLength(10);
    expect(confirmed.headers.get('cache-control')).toBe('no-store');
    expect((await browser.open(SECURITY)).html).not.toContain(codes[0]);

    const otherBrowser = new Browser(server.origin);
    const prompt = await otherBrowser.signIn(email, PASSWORD, `/login?return_to=${encodeURIComponent(SECURITY)}`);
    const security = await otherBrowser.submit(prompt, { otp: codes[3]! });
    expect(security.url.pathname).toBe(SECURITY);
    expect(security.html).toContain('9 left');
    await press(otherBrowser, security, 'factor/remove');
    expect((await browser.open('/account')).url.pathname).toBe('/login'); // all other sessions ended

    const { app } = await setUp(otherBrowser);
    const last = new Browser(server.origin);
    const page = await last.signIn(email, PASSWORD);
    expect((await last.submit(page, { otp: lost.code(clock.now()) })).status).toBe(401);
    expect((await last.submit(page, { otp: codes[4]! })).status).toBe(401);
    expect((await last.submit(page, { otp: app.code(clock.now(), 1) })).url.pathname).toBe('/account');
    const actions = (await server.core.audit.list({ accountId: id })).map(({ action }) => action).reverse();
    expect(actions.filter((action) => action.startsWith('mfa.'))).toEqual([
      'mfa.enrolled',
      'mfa.recovery_code_used',
      'mfa.removed',
      'mfa.enrolled',
    ]);
  });

  it('shows the same QR code after a wrong code or a reload, and none after the confirmation', async () => {
    const { browser } = await signInNewUser();
    const page = await press(browser, await browser.open(SECURITY), 'factor');
    const app = scan(page);
    const confirm = formTo(page, `${SECURITY}/factor/confirm`);
    const wrong = await browser.submit(page, { otp: app.wrongCode(clock.now()) }, confirm);
    expect([wrong.status, scan(wrong).secret]).toEqual([401, app.secret]);
    const reloaded = await browser.open(`${SECURITY}/factor`);
    expect(scan(reloaded).secret).toBe(app.secret);
    for (const shown of [page, wrong, reloaded]) expect(shown.headers.get('cache-control')).toBe('no-store');
    const first = await browser.submit(page, { otp: app.code(clock.now()) }, confirm);
    expect(codesOn(first)).toHaveLength(10);
    const second = await browser.submit(page, { otp: app.code(clock.now(), 1) }, confirm);
    expect([second.status, codesOn(second)]).toEqual([409, []]);
    expect((await browser.open(`${SECURITY}/factor`)).url.pathname).toBe(SECURITY);
  });

  it('replaces the recovery codes', async () => {
    const { email, browser } = await signInNewUser();
    const { codes } = await setUp(browser);
    const newCodes = codesOn(await press(browser, await browser.open(SECURITY), 'recovery-codes'));
    expect(newCodes).toHaveLength(10);
    const otherBrowser = new Browser(server.origin);
    const page = await otherBrowser.signIn(email, PASSWORD);
    expect((await otherBrowser.submit(page, { otp: codes[0]! })).status).toBe(401);
    expect((await otherBrowser.submit(page, { otp: newCodes[0]! })).url.pathname).toBe('/account');
  });

  it('requires recent authentication for changes, and fills in the address at the sign-in', async () => {
    const { email, id, browser } = await signInNewUser();
    const { app } = await setUp(browser);
    const page = await browser.open(SECURITY);
    await later(11 * MINUTE_MS, async () => {
      for (const action of ['factor/remove', 'recovery-codes', 'factor', 'factor/confirm', 'password']) {
        const body = new URLSearchParams({ csrf: /name="csrf" value="([^"]+)"/.exec(page.html)![1]!, otp: '000000' });
        const response = await browser.open(`${SECURITY}/${action}`, { method: 'POST', body });
        expect(response.url.pathname, action).toBe('/login');
        expect(response.html).toContain(`value="${email}"`);
      }
      expect(await server.core.mfa.status(id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
      const login = await browser.open(SECURITY);
      const prompt = await browser.signIn(email, PASSWORD, login);
      const security = await browser.submit(prompt, { otp: app.code(clock.now()) });
      expect(security.url.pathname).toBe(SECURITY);
      expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toHaveLength(1); // the same session
      await press(browser, security, 'factor/remove');
      expect((await server.core.mfa.status(id)).enrolled).toBe(false);
    });
  });

  it('changes the password and signs the user out of all other browsers', async () => {
    const { email, id, browser } = await signInNewUser();
    const other = new Browser(server.origin);
    await other.signIn(email, PASSWORD);
    const page = await browser.open(SECURITY);
    const change = (fields: Record<string, string>) =>
      browser.submit(page, fields, formTo(page, `${SECURITY}/password`));
    const next = 'another horse battery';
    const wrong = await change({ current_password: 'a wrong password', password: next });
    expect([wrong.status, wrong.html.includes('The current password is incorrect.')]).toEqual([401, true]);
    const weak = await change({ current_password: PASSWORD, password: 'password' });
    expect([weak.status, weak.html.includes('too common')]).toEqual([400, true]);
    expect((await other.open('/account')).url.pathname).toBe('/account');
    const changed = await change({ current_password: PASSWORD, password: next });
    expect([changed.url.pathname, changed.html.includes('Your password was saved.')]).toEqual([SECURITY, true]);
    expect((await other.open('/account')).url.pathname).toBe('/login');
    expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toHaveLength(1);
    expect((await new Browser(server.origin).signIn(email, next)).url.pathname).toBe('/account');
  });

  it('rejects forms of other sites', async () => {
    const { id, browser } = await signInNewUser();
    await setUp(browser);
    for (const action of ['factor/remove', 'recovery-codes', 'factor', 'factor/confirm', 'password']) {
      const forged = { method: 'POST', body: new URLSearchParams({ csrf: 'x'.repeat(43), otp: '000000' }) };
      expect((await browser.open(`${SECURITY}/${action}`, forged)).status, action).toBe(403);
    }
    expect(await server.core.mfa.status(id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
  });
});
