// The mailed links that reset a password and verify an address, in a browser.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf } from '../support/browser.js';
import { linkIn, mailsTo, mailTo } from '../support/mailbox.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const NEXT = 'nine unrelated lanterns';

describe('the password reset', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  /** Requests a link from the sign-in page. */
  async function requestReset(email: string, browser = new Browser(server.origin)) {
    const login = await browser.open('/login');
    const href = /href="([^"]+)">Forgot password\?/.exec(login.html)![1]!;
    return browser.submit(await browser.open(href), { email });
  }

  it('mails a link that sets a new password, verifies the address and ends all sessions', async () => {
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const sent = await requestReset(email);
    expect(sent.status).toBe(200);
    expect(sent.html).toContain('Check your e-mail');

    const link = linkIn(await mailTo(server, email, /Choose/));
    expect(link.origin).toBe(server.issuer);
    const phone = new Browser(server.origin);
    await phone.open(link.pathname + link.search); // by a mail scanner
    await phone.open(link.pathname + link.search);
    const form = await phone.open(link.pathname + link.search);
    expect(form.status).toBe(200);
    expect(form.headers.get('referrer-policy')).toBe('no-referrer');
    expect(form.headers.get('cache-control')).toBe('no-store');

    const weak = await phone.submit(form, { password: 'password' });
    expect(weak.status).toBe(400);
    expect(weak.html).toMatch(/class="field-error"[^>]*role="alert"/);
    const changed = await phone.submit(weak, { password: NEXT });
    expect([changed.status, /<h1>([^<]*)/.exec(changed.html)![1]]).toEqual([200, 'Your new password is set']);

    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await phone.signIn(email, PASSWORD)).status).toBe(401);
    const home = await phone.signIn(email, NEXT);
    expect(home.url.pathname).toBe('/account');
    expect(home.html).toContain('>Verified<');
    expect(linkIn(await mailTo(server, email, /was changed/)).pathname).toBe('/forgot-password');
  });

  it('explains that a link was used, and how to get another one', async () => {
    const { email } = await server.account();
    await requestReset(email);
    const link = linkIn(await mailTo(server, email, /Choose/));
    const browser = new Browser(server.origin);
    const form = await browser.open(link.pathname + link.search);
    await browser.submit(form, { password: NEXT });
    for (const page of [
      await browser.open(link.pathname + link.search),
      await browser.submit(form, { password: NEXT }),
      await browser.open('/reset-password'),
      await browser.open('/verify-email?token=x'),
    ]) {
      expect(page.status).toBe(401);
      expect(page.html).toContain('This link is no longer valid');
    }
    expect((await browser.open('/reset-password')).html).toContain('href="/forgot-password"');
  });

  it('shows the same page when the account does not exist', async () => {
    const { email } = await server.account();
    const [known, unknown] = [await requestReset(email), await requestReset('unknown@example.com')];
    expect(unknown.status).toBe(known.status);
    expect(unknown.html.replaceAll('unknown@example.com', email)).toBe(known.html);
    expect(await mailsTo(server, 'unknown@example.com')).toEqual([]);
  });

  it('rejects forms of other sites', async () => {
    const { email } = await server.account();
    await requestReset(email);
    const link = linkIn(await mailTo(server, email, /Choose/));
    const browser = new Browser(server.origin);
    const form = await browser.open(link.pathname + link.search);
    expect((await browser.submit(form, { password: NEXT, csrf: 'x' })).status).toBe(403);
    expect((await browser.submit(await browser.open('/forgot-password'), { email, csrf: 'x' })).status).toBe(403);
    browser.headers = { ...browser.headers, origin: 'https://evil.example' };
    expect((await browser.submit(form, { password: NEXT })).status).toBe(403);
    expect(await mailsTo(server, email)).toHaveLength(1);
  });
});

describe('the verification of an address', () => {
  let server: TestServer;
  const email = 'mara@example.com';
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  it('uses the newest mailed link', async () => {
    const browser = new Browser(server.origin);
    const home = await browser.submit(await browser.open('/register'), { email, name: 'Mara', password: PASSWORD });
    expect(home.html).toContain('>Not verified<');
    const first = linkIn(await mailTo(server, email, /Confirm/));
    const [, resend] = formsOf(home.html);
    expect(resend!.action).toBe('/account/verify-email');
    expect((await browser.submit(home, { csrf: 'x' }, 1)).status).toBe(403);
    const sent = await browser.submit(home, {}, 1);
    expect(sent.html).toContain('We sent you a link');

    const link = linkIn(await mailTo(server, email, /Confirm/));
    const phone = new Browser(server.origin);
    expect((await phone.open(first.pathname + first.search)).status).toBe(401);
    const page = await phone.open(link.pathname + link.search);
    expect((await browser.open('/account')).html).toContain('>Not verified<'); // opening the link changes nothing
    const wrong = await phone.submit(page, { password: 'a wrong password' });
    expect([wrong.status, wrong.html]).toEqual([401, expect.stringContaining('not the password of the account')]);
    const confirmed = await phone.submit(wrong, { password: PASSWORD });
    expect(confirmed.html).toContain('Your e-mail address is confirmed');
    const verified = await browser.open('/account');
    expect(verified.html).toContain('>Verified<');
    expect(formsOf(verified.html).map(({ action }) => action)).not.toContain('/account/verify-email');
    expect((await phone.submit(page)).status).toBe(401);
  });

  it('limits the number of mailed links', async () => {
    const browser = new Browser(server.origin);
    let page = await browser.submit(await browser.open('/register'), { email: 'x@example.com', password: PASSWORD });
    for (let n = 0; n < 4; n += 1) page = await browser.submit(page, {}, 1);
    expect([page.status, page.url.pathname]).toEqual([200, '/account']);
    expect(page.html).toContain('already sent you several links');
    expect((await browser.open('/account?notice=<script>')).html).not.toContain('class="notice"');
  });
});

describe('a server in production that has no mail server', () => {
  it('offers nothing that needs mail, logs a warning, and stores no token', async () => {
    const server = await startServer({ settings: { NODE_ENV: 'production', PASSWORD_HASH_COST: '10' } });
    try {
      expect(server.lines.filter((line) => line.includes('SMTP_URL is not set'))).toHaveLength(1);
      const browser = new Browser(server.origin);
      expect((await browser.open('/login')).html).not.toContain('Forgot');
      for (const path of ['/forgot-password', '/dev/outbox']) expect((await browser.open(path)).status).toBe(404);
      const email = 'mara@example.com';
      const home = await browser.submit(await browser.open('/register'), { email, name: 'Mara', password: PASSWORD });
      expect(home.html).toContain('>Not verified<');
      expect(home.html).not.toContain('verify-email');
      await server.core.passwordReset.requestReset(email, { address: '', userAgent: '', requestId: '' });
      await server.base.background.waitUntilIdle();
      expect(await server.base.db.oneTimeToken.count()).toBe(0);
      expect(server.base.mailer.outbox).toBeUndefined();
    } finally {
      await server.close();
    }
  });
});
