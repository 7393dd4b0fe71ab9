// A person who forgot the password, with a browser and a mailbox.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser, formsOf } from '../support/browser.js';
import { linkIn, mailsTo, mailTo } from '../support/mailbox.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';

const NEXT = 'nine unrelated lanterns';

describe('a person who forgot the password', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  async function ask(email: string, browser = new Browser(server.origin)) {
    const login = await browser.open('/login');
    const href = /href="([^"]+)">Forgot password\?/.exec(login.html)![1]!;
    return browser.submit(await browser.open(href), { email });
  }

  it('asks for a link, opens it, chooses a new one, and signs in with it', async () => {
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const sent = await ask(email);
    expect(sent.status).toBe(200);
    expect(sent.html).toContain('Check your e-mail');

    const link = linkIn(await mailTo(server, email, /Choose/));
    expect(link.origin).toBe(server.issuer);
    const phone = new Browser(server.origin);
    await phone.open(link.pathname + link.search); // as a mail scanner does
    await phone.open(link.pathname + link.search);
    const form = await phone.open(link.pathname + link.search);
    expect(form.status).toBe(200);
    expect(form.headers.get('referrer-policy')).toBe('no-referrer');
    expect(form.headers.get('cache-control')).toBe('no-store');

    const weak = await phone.submit(form, { password: 'password' });
    expect(weak.status).toBe(400);
    expect(weak.html).toMatch(/class="field-error"[^>]*role="alert"/);
    const done = await phone.submit(weak, { password: NEXT });
    expect([done.status, /<h1>([^<]*)/.exec(done.html)![1]]).toEqual([200, 'Your new password is set']);

    expect((await browser.open('/account')).url.pathname).toBe('/login');
    expect((await phone.signIn(email, PASSWORD)).status).toBe(401);
    const home = await phone.signIn(email, NEXT);
    expect(home.url.pathname).toBe('/account');
    expect(home.html).toContain('>Verified<');
    expect(linkIn(await mailTo(server, email, /was changed/)).pathname).toBe('/forgot-password');
  });

  it('is told of a link that was used, and where another one comes from', async () => {
    const { email } = await server.account();
    await ask(email);
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

  it('sees the same page when there is no such account', async () => {
    const { email } = await server.account();
    const [known, unknown] = [await ask(email), await ask('unknown@example.com')];
    expect(unknown.status).toBe(known.status);
    expect(unknown.html.replaceAll('unknown@example.com', email)).toBe(known.html);
    expect(await mailsTo(server, 'unknown@example.com')).toEqual([]);
  });

  it('cannot be made to do it by a form of another site', async () => {
    const { email } = await server.account();
    await ask(email);
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

describe('a person who made an account', () => {
  let server: TestServer;
  const email = 'mara@example.com';
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  it('confirms the address by a mailed link, after asking for another one', async () => {
    const browser = new Browser(server.origin);
    const home = await browser.submit(await browser.open('/register'), { email, name: 'Mara', password: PASSWORD });
    expect(home.html).toContain('>Not verified<');
    const first = linkIn(await mailTo(server, email, /Confirm/));
    const [, again] = formsOf(home.html);
    expect(again!.action).toBe('/account/verify-email');
    expect((await browser.submit(home, { csrf: 'x' }, 1)).status).toBe(403);
    const sent = await browser.submit(home, {}, 1);
    expect(sent.html).toContain('We sent you a link');

    const link = linkIn(await mailTo(server, email, /Confirm/));
    const phone = new Browser(server.origin);
    expect((await phone.open(first.pathname + first.search)).status).toBe(401);
    const page = await phone.open(link.pathname + link.search);
    expect((await browser.open('/account')).html).toContain('>Not verified<'); // opening it is not enough
    const done = await phone.submit(page);
    expect(done.html).toContain('Your e-mail address is confirmed');
    const verified = await browser.open('/account');
    expect(verified.html).toContain('>Verified<');
    expect(formsOf(verified.html).map(({ action }) => action)).not.toContain('/account/verify-email');
    expect((await phone.submit(page)).status).toBe(401);
  });

  it('is told, when asking too often, that there are links enough', async () => {
    const browser = new Browser(server.origin);
    let page = await browser.submit(await browser.open('/register'), { email: 'x@example.com', password: PASSWORD });
    for (let n = 0; n < 4; n += 1) page = await browser.submit(page, {}, 1);
    expect([page.status, page.url.pathname]).toEqual([200, '/account']);
    expect(page.html).toContain('Several links were sent to you already');
    expect((await browser.open('/account?notice=<script>')).html).not.toContain('class="notice"');
  });
});

describe('a server in production that has no mail server', () => {
  it('offers nothing that needs mail, says so in its log, and keeps no link', async () => {
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
