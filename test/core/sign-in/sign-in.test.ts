// Sign-in under password guessing and concurrent changes.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AppError } from '../../../src/base/app-error.js';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { Browser } from '../../support/browser.js';
import { refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

describe.each(stores)('sign-in on $name', (store) => {
  let server: TestServer;
  let addresses = 0;
  beforeAll(async () => {
    server = await startServer({ store, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterAll(() => server.close());

  function newAddress(): string {
    addresses += 1;
    return `10.${addresses >> 8}.${addresses & 255}.1`;
  }

  /** Returns a browser at a new address. */
  function browserAt(address = newAddress()): Browser {
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-for': address };
    return browser;
  }

  const alertOf = (html: string) => /role="alert">([^<]*)/.exec(html)?.[1];
  const isSignedIn = (page: { url: URL }) => page.url.pathname === '/account';

  async function guess(
    email: string,
    times: number,
    address?: string,
    password = 'a wrong password',
  ): Promise<number[]> {
    const browser = browserAt(address);
    const start = await browser.open('/login');
    const pages = await Promise.all(Array.from({ length: times }, () => browser.submit(start, { email, password })));
    return pages.map(({ status }) => status);
  }

  it('returns the same error for an unknown address and a wrong password', async () => {
    const { email } = await server.account();
    const wrong = await browserAt().signIn(email, 'a wrong password');
    const unknown = await browserAt().signIn('unknown@example.com', 'a wrong password');
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(alertOf(wrong.html)).toBeTruthy();
    expect(alertOf(unknown.html)).toBe(alertOf(wrong.html));
    const names = (page: typeof wrong) => [...page.headers.keys()].filter((name) => name !== 'set-cookie').sort();
    expect(names(unknown)).toEqual(names(wrong));
  });

  it('accepts the e-mail address in any case', async () => {
    const { email } = await server.account();
    expect(isSignedIn(await browserAt().signIn(` ${email.toUpperCase()} `, PASSWORD))).toBe(true);
  });

  it('counts attempts at one account from one address, including concurrent ones', async () => {
    const { email } = await server.account();
    const statuses = await guess(email, 20, '10.200.0.1');
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(10);
    const right = await browserAt('10.200.0.1').signIn(email, PASSWORD);
    expect(right.status).toBe(429); // otherwise the response would confirm a guess
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(isSignedIn(await browserAt().signIn(email, PASSWORD))).toBe(true);
  });

  it('counts an IPv6 network as one address', async () => {
    const { email } = await server.account();
    for (let n = 1; n <= 10; n += 1) await guess(email, 1, `2001:db8:1:1::${n}`);
    expect(await guess(email, 1, '2001:db8:1:1::ffff')).toEqual([429]);
    expect(await guess(email, 1, '2001:db8:1:2::1')).toEqual([401]);
  });

  it('limits attempts at one account from all networks of an IPv6 /48 together', async () => {
    const { email } = await server.account();
    const statuses: number[] = [];
    for (let n = 0; n < 70; n += 1) statuses.push(...(await guess(email, 1, `2001:db8:3:${n.toString(16)}00::1`)));
    expect(statuses.slice(0, 60).every((status) => status === 401)).toBe(true);
    expect(statuses.slice(60)).toEqual(Array(10).fill(429));
  });

  it('limits attempts at one account from all networks of an IPv6 /56 together', async () => {
    const { email } = await server.account();
    const statuses: number[] = [];
    for (let n = 0; n < 32; n += 1)
      statuses.push(...(await guess(email, 1, `2001:db8:4:5${n.toString(16).padStart(2, '0')}::1`)));
    expect(statuses.slice(0, 30).every((status) => status === 401)).toBe(true);
    expect(statuses.slice(30)).toEqual([429, 429]);
  });

  it('limits attempts at one account from all unknown networks together, but not from a known browser', async () => {
    const { email } = await server.account();
    const known = browserAt('10.200.4.1');
    expect(isSignedIn(await known.signIn(email, PASSWORD))).toBe(true);
    const statuses: number[] = [];
    for (let n = 0; n < 240; n += 1) statuses.push(...(await guess(email, 1, `10.201.${n}.1`)));
    expect(statuses.filter((status) => status === 401)).toHaveLength(200);
    expect((await browserAt('10.202.0.1').signIn(email, PASSWORD)).status).toBe(429);
    known.headers['x-forwarded-for'] = '10.202.0.2';
    expect(isSignedIn(await known.signIn(email, PASSWORD))).toBe(true);
  });

  it('does not lock out a known browser behind an address with many guesses', async () => {
    const { email } = await server.account();
    const known = browserAt('10.200.5.1');
    expect(isSignedIn(await known.signIn(email, PASSWORD))).toBe(true);
    for (let n = 0; n < 11; n += 1) await guess(`victim${n}@example.com`, 10, '10.200.5.1');
    await guess(email, 12, '10.200.5.1');
    const rejected = await browserAt('10.200.5.1').signIn(email, PASSWORD);
    expect([rejected.status, rejected.html]).toEqual([429, expect.stringContaining('Try again in 15 minutes.')]);
    expect(isSignedIn(await known.signIn(email, PASSWORD))).toBe(true);
  });

  it('counts the attempts of a known browser by themselves', async () => {
    const { email } = await server.account();
    const known = browserAt('10.200.6.1');
    await known.signIn(email, PASSWORD);
    const statuses = [];
    for (let n = 0; n < 11; n += 1) statuses.push((await known.signIn(email, 'a wrong password')).status);
    expect(statuses).toEqual([...Array(10).fill(401), 429]);
  });

  it('resets the attempts after a successful sign-in', async () => {
    const { email } = await server.account();
    for (let round = 0; round < 3; round += 1) {
      await guess(email, 9, '10.200.0.2');
      expect(isSignedIn(await browserAt('10.200.0.2').signIn(email, PASSWORD))).toBe(true);
    }
  });

  it('counts attempts from one address at many accounts', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) statuses.push(...(await guess(`target${n}@example.com`, 10, '10.200.0.3')));
    expect(statuses.filter((status) => status === 401)).toHaveLength(100);
    expect(statuses.slice(-5)).toEqual([429, 429, 429, 429, 429]);
  });

  it('does not let a distributed attack lock the owner out of a known address', async () => {
    const { email } = await server.account();
    expect(isSignedIn(await browserAt('10.200.1.1').signIn(email, PASSWORD))).toBe(true);
    expect(isSignedIn(await browserAt('2001:db8:2:2::1').signIn(email, PASSWORD))).toBe(true);
    const statuses: number[] = [];
    for (let n = 0; n < 13; n += 1) statuses.push(...(await guess(email, 9)));
    // Concurrent requests arrive in any order.
    expect(statuses.slice(-9).sort()).toEqual([401, 401, 401, ...Array(6).fill(429)]);
    expect(isSignedIn(await browserAt().signIn(email, PASSWORD))).toBe(true); // from an unknown address, within few attempts
    expect(isSignedIn(await browserAt('10.200.1.1').signIn(email, PASSWORD))).toBe(true);
    expect(isSignedIn(await browserAt('2001:db8:2:2:aaaa::9').signIn(email, PASSWORD))).toBe(true); // another address in a known IPv6 network
    expect((await guess(email, 4)).sort()).toEqual([401, 401, 401, 429]);
  });

  it('reveals a suspension only after the correct password', async () => {
    const { email, id } = await server.account();
    await suspendAccount(server, id);
    expect((await browserAt().signIn(email, 'a wrong password')).status).toBe(401);
    const page = await browserAt().signIn(email, PASSWORD);
    expect(page.status).toBe(403);
    expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toEqual([]);
  });

  it('rejects an authentication from before a password change or a suspension', async () => {
    const meta = { ...systemMeta, address: newAddress() };
    for (const change of [
      (id: string) => changeAccount(server, id, { password: 'nine unrelated lanterns' }),
      (id: string) => suspendAccount(server, id),
    ]) {
      const account = await server.account();
      const { id } = account;
      await sleep(2); // two changes within a millisecond look like one
      await change(id);
      for (const issue of [
        () => server.core.sessionIssuer.startBrowserSession({ account, amr: ['pwd'] }, undefined, meta),
        () => server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, meta),
      ]) {
        await expect(issue()).rejects.toMatchObject({ status: 401, code: 'invalid_credentials' });
      }
      expect((await server.core.sessions.list(id, FIRST_PAGE)).items).toEqual([]);
    }
  });

  it('replaces the session cookie at each sign-in and invalidates the previous one', async () => {
    const { email } = await server.account();
    const browser = browserAt();
    browser.cookies.set('signet_login', { value: 'chosen-by-an-attacker', path: '/' });
    await browser.signIn(email, PASSWORD);
    const first = browser.cookies.get('signet_login')!;
    expect(first.value).not.toBe('chosen-by-an-attacker');
    await browser.signIn(email, PASSWORD);
    const second = browser.cookies.get('signet_login')!;
    expect(second.value).not.toBe(first.value);
    const attacker = browserAt();
    attacker.cookies.set('signet_login', first);
    expect((await attacker.open('/account')).url.pathname).toBe('/login');
    expect((await browser.open('/account')).url.pathname).toBe('/account');
  });

  it('revokes the previous session when another user signs in', async () => {
    const [one, other] = [await server.account(), await server.account()];
    const client = await server.client();
    const browser = browserAt();
    const family = await openTokenFamily(server, client, one.email, {}, browser);
    const before = browser.cookies.get('signet_login')!;
    const page = await browser.signIn(other.email, PASSWORD);
    expect(page.html).toContain(other.email);
    expect((await server.core.sessions.list(one.id, FIRST_PAGE)).items).toEqual([]);
    const attacker = browserAt();
    attacker.cookies.set('signet_login', before);
    expect((await attacker.open('/account')).url.pathname).toBe('/login');
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
  });

  it('rejects forms without the form token of the browser, and forms from other origins', async () => {
    const { email } = await server.account();
    const browser = browserAt();
    const page = await browser.open('/login');
    const fields = { email, password: PASSWORD };
    expect((await browser.submit(page, { ...fields, csrf: 'x' })).status).toBe(403);
    const other = await browserAt().open('/login');
    expect((await browser.submit({ ...page, html: other.html }, fields)).status).toBe(403);
    browser.headers = { ...browser.headers, origin: 'https://evil.example' };
    expect((await browser.submit(page, fields)).status).toBe(403);
    expect(browser.cookies.has('signet_login')).toBe(false);
  });

  it('creates one account from 8 concurrent registrations, and limits registrations per address', async () => {
    const browser = browserAt();
    const page = await browser.open('/register');
    const fields = { email: 'many@example.com', name: 'Many', password: PASSWORD };
    const pages = await Promise.all(Array.from({ length: 8 }, () => browser.submit(page, fields)));
    expect(pages.filter(isSignedIn)).toHaveLength(1);
    expect(pages.filter(({ status }) => status === 409)).toHaveLength(7);
    const address = '10.200.2.1';
    const statuses: number[] = [];
    const register = browserAt(address);
    const form = await register.open('/register');
    for (let n = 0; n < 32; n += 1) statuses.push((await register.submit(form, { ...fields, email: 'bad' })).status);
    expect(statuses.filter((status) => status === 429)).toHaveLength(2);
  });

  it('audits each outcome without the password', async () => {
    const { email, id } = await server.account();
    await browserAt('10.200.3.1').signIn(email, 'a wrong password');
    await browserAt('10.200.3.1').signIn(email, PASSWORD);
    await server.core.audit.flush();
    const events = await server.core.audit.list({ accountId: id });
    const failed = events.find(({ action }) => action === 'sign_in.failed');
    expect(failed).toMatchObject({ address: '10.200.3.1', detail: { reason: 'wrong_password' } });
    expect(events.find(({ action }) => action === 'sign_in.succeeded')).toMatchObject({
      actorId: id,
      address: '10.200.3.1',
    });
    expect(JSON.stringify(events)).not.toMatch(/a wrong password|correct horse/);
  });
});

describe('the rate limit of sign-in', () => {
  it('extends the waiting time to hours after repeated attempts', async () => {
    const server = await startServer();
    // The limiter measures real time, so the test moves the clock of the process.
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      const { email } = await server.account();
      const attempt = () =>
        server.core.signIn
          .withPassword({ email, password: 'a wrong password' }, systemMeta)
          .catch((error: AppError) => error);

      /** Guesses until it has to wait, and waits. Returns the number of guesses and the wait. */
      async function guessUntilLimited(): Promise<{ attempts: number; waitSeconds: number }> {
        for (let attempts = 0; ; attempts += 1) {
          const { retryAfterSeconds: waitSeconds } = (await attempt()) as AppError;
          if (waitSeconds === undefined) continue;
          vi.setSystemTime(Date.now() + waitSeconds * 1000);
          return { attempts, waitSeconds };
        }
      }
      const rounds = [await guessUntilLimited(), await guessUntilLimited(), await guessUntilLimited()];
      expect(rounds.map(({ attempts }) => attempts)).toEqual([10, 10, 0]);
      expect(rounds[0]!.waitSeconds).toBeLessThanOrEqual(900);
      expect(rounds[2]!.waitSeconds).toBeGreaterThan(2 * 3600);
    } finally {
      vi.useRealTimers();
      await server.close();
    }
  });
});
