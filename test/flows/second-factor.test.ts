// A person sets up a second factor on the pages, loses the phone, comes in by a recovery code, and
// starts over with a new phone.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator, readQrCode } from '../support/authenticator.js';
import { Browser, type Page } from '../support/browser.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const MINUTE_MS = 60_000;
const SECURITY = '/account/security';

describe.each(stores)('a person with a second factor on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  const now = () => new Date(Date.now() + aheadMs);
  beforeAll(async () => {
    server = await startServer({ store, clock: { now } });
  });
  afterEach(() => {
    aheadMs = 0;
  });
  afterAll(() => server.close());

  const codesOn = ({ html }: Page) => [...html.matchAll(/<code>([\d-]+)<\/code>/g)].map(([, code = '']) => code);
  /** The form that posts there. */
  const formTo = ({ html }: Page, action: string) =>
    [...html.matchAll(/<form[^>]* action="([^"]*)"/g)].findIndex(([, to]) => to === action);
  const press = (browser: Browser, page: Page, action: string) =>
    browser.submit(page, {}, formTo(page, `${SECURITY}/${action}`));

  function scan({ html }: Page): Authenticator {
    const svg = Buffer.from(/src="data:image\/svg\+xml;base64,([^"]+)"/.exec(html)?.[1] ?? '', 'base64').toString();
    return Authenticator.scan(readQrCode(svg) ?? '');
  }

  async function setUp(browser: Browser) {
    const page = await press(browser, await browser.open(SECURITY), 'factor');
    const app = scan(page);
    const done = await browser.submit(page, { otp: app.code(now()) }, formTo(page, `${SECURITY}/factor/confirm`));
    return { app, page, done, codes: codesOn(done) };
  }

  async function completeSignIn() {
    const { email, id } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    return { email, id, browser };
  }

  it('loses the phone and comes in by a recovery code, and has a new one afterwards', async () => {
    const { email, id, browser } = await completeSignIn();
    const { codes, done, app: lost } = await setUp(browser);
    expect(codes).toHaveLength(10);
    expect(done.headers.get('cache-control')).toBe('no-store');
    expect((await browser.open(SECURITY)).html).not.toContain(codes[0]);

    const otherBrowser = new Browser(server.origin);
    const asked = await otherBrowser.signIn(email, PASSWORD, `/login?return_to=${encodeURIComponent(SECURITY)}`);
    const inside = await otherBrowser.submit(asked, { otp: codes[3]! });
    expect(inside.url.pathname).toBe(SECURITY);
    expect(inside.html).toContain('9 left');
    await press(otherBrowser, inside, 'factor/remove');
    expect((await browser.open('/account')).url.pathname).toBe('/login'); // the browser that was lost with the phone, say

    const { app } = await setUp(otherBrowser);
    const last = new Browser(server.origin);
    const page = await last.signIn(email, PASSWORD);
    expect((await last.submit(page, { otp: lost.code(now()) })).status).toBe(401);
    expect((await last.submit(page, { otp: codes[4]! })).status).toBe(401);
    expect((await last.submit(page, { otp: app.code(now(), 1) })).url.pathname).toBe('/account');
    const actions = (await server.core.audit.list({ accountId: id })).map(({ action }) => action).reverse();
    expect(actions.filter((action) => action.startsWith('mfa.'))).toEqual([
      'mfa.enrolled',
      'mfa.recovery_code_used',
      'mfa.removed',
      'mfa.enrolled',
    ]);
  });

  it('sees the same QR code again after a wrong code or a reload, and nothing of it afterwards', async () => {
    const { browser } = await completeSignIn();
    const page = await press(browser, await browser.open(SECURITY), 'factor');
    const app = scan(page);
    const confirm = formTo(page, `${SECURITY}/factor/confirm`);
    const wrong = await browser.submit(page, { otp: app.wrongCode(now()) }, confirm);
    expect([wrong.status, scan(wrong).secret]).toEqual([401, app.secret]);
    const reloaded = await browser.open(`${SECURITY}/factor`);
    expect(scan(reloaded).secret).toBe(app.secret);
    for (const shown of [page, wrong, reloaded]) expect(shown.headers.get('cache-control')).toBe('no-store');
    const first = await browser.submit(page, { otp: app.code(now()) }, confirm);
    expect(codesOn(first)).toHaveLength(10);
    const second = await browser.submit(page, { otp: app.code(now(), 1) }, confirm);
    expect([second.status, codesOn(second)]).toEqual([409, []]);
    expect((await browser.open(`${SECURITY}/factor`)).url.pathname).toBe(SECURITY);
  });

  it('gets new recovery codes, and those before are void', async () => {
    const { email, browser } = await completeSignIn();
    const { codes } = await setUp(browser);
    const fresh = codesOn(await press(browser, await browser.open(SECURITY), 'recovery-codes'));
    expect(fresh).toHaveLength(10);
    const otherBrowser = new Browser(server.origin);
    const page = await otherBrowser.signIn(email, PASSWORD);
    expect((await otherBrowser.submit(page, { otp: codes[0]! })).status).toBe(401);
    expect((await otherBrowser.submit(page, { otp: fresh[0]! })).url.pathname).toBe('/account');
  });

  it('is asked to sign in again before anything changes, ten minutes later, with the address filled in', async () => {
    const { email, id, browser } = await completeSignIn();
    const { app } = await setUp(browser);
    const page = await browser.open(SECURITY);
    aheadMs = 10 * MINUTE_MS + 1000;
    for (const action of ['factor/remove', 'recovery-codes', 'factor', 'factor/confirm', 'password']) {
      const body = new URLSearchParams({ csrf: /name="csrf" value="([^"]+)"/.exec(page.html)![1]!, otp: '000000' });
      const answer = await browser.open(`${SECURITY}/${action}`, { method: 'POST', body });
      expect(answer.url.pathname, action).toBe('/login');
      expect(answer.html).toContain(`value="${email}"`);
    }
    expect(await server.core.mfa.state(id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
    const login = await browser.open(SECURITY);
    const asked = await browser.signIn(email, PASSWORD, login);
    const back = await browser.submit(asked, { otp: app.code(now()) });
    expect(back.url.pathname).toBe(SECURITY);
    expect(await server.core.sessions.list(id)).toHaveLength(1); // the same login goes on
    await press(browser, back, 'factor/remove');
    expect((await server.core.mfa.state(id)).enrolled).toBe(false);
  });

  it('changes the password and signs the user out of all other browsers', async () => {
    const { email, id, browser } = await completeSignIn();
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
    expect([changed.url.pathname, changed.html.includes('Your password was changed.')]).toEqual([SECURITY, true]);
    expect((await other.open('/account')).url.pathname).toBe('/login');
    expect(await server.core.sessions.list(id)).toHaveLength(1);
    expect((await new Browser(server.origin).signIn(email, next)).url.pathname).toBe('/account');
  });

  it('changes nothing by a form of another site', async () => {
    const { id, browser } = await completeSignIn();
    await setUp(browser);
    for (const action of ['factor/remove', 'recovery-codes', 'factor', 'factor/confirm', 'password']) {
      const foreign = { method: 'POST', body: new URLSearchParams({ csrf: 'x'.repeat(43), otp: '000000' }) };
      expect((await browser.open(`${SECURITY}/${action}`, foreign)).status, action).toBe(403);
    }
    expect(await server.core.mfa.state(id)).toEqual({ enrolled: true, recoveryCodesLeft: 10 });
  });
});
