// Sign-in and sessions under password guessing, floods and concurrent changes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AppError } from '../../../src/base/app-error.js';
import { sha256 } from '../../../src/base/crypto.js';
import { systemMeta } from '../../../src/core/request-meta.js';
import { Browser } from '../../support/browser.js';
import { refresh } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
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

  const wordsOf = (html: string) => /role="alert">([^<]*)/.exec(html)?.[1];
  const isIn = (page: { url: URL }) => page.url.pathname === '/account';

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
    expect(wordsOf(wrong.html)).toBeTruthy();
    expect(wordsOf(unknown.html)).toBe(wordsOf(wrong.html));
    const names = (page: typeof wrong) => [...page.headers.keys()].filter((name) => name !== 'set-cookie').sort();
    expect(names(unknown)).toEqual(names(wrong));
  });

  it('accepts the e-mail address in any case', async () => {
    const { email } = await server.account();
    expect(isIn(await browserAt().signIn(` ${email.toUpperCase()} `, PASSWORD))).toBe(true);
  });

  it('counts attempts at one account from one address, including concurrent ones', async () => {
    const { email } = await server.account();
    const statuses = await guess(email, 20, '10.200.0.1');
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(10);
    const right = await browserAt('10.200.0.1').signIn(email, PASSWORD);
    expect(right.status).toBe(429); // or the guesses would tell the password
    expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(isIn(await browserAt().signIn(email, PASSWORD))).toBe(true);
  });

  it('extends the waiting time to hours for repeated attempts', async () => {
    const { email } = await server.account();
    const meta = { ...systemMeta, address: newAddress() };
    const attempt = () =>
      server.core.signIn.withPassword({ email, password: 'a wrong password' }, meta).catch((error: AppError) => error);

    /**
     * How many guesses there are before the next delay, and how long that is. The delay is then
     * over.
     */
    async function guessOn(): Promise<{ attempts: number; delay: number }> {
      for (let attempts = 0; ; attempts += 1) {
        const { retryAfterSeconds: delay } = (await attempt()) as AppError;
        if (delay === undefined) continue;
        const first = { name: 'sign-in-pair', points: 10, seconds: 900 };
        await server.base.rateLimiter.reset(first, `${sha256(email)}:${meta.address}`);
        return { attempts, delay };
      }
    }
    const rounds = [await guessOn(), await guessOn(), await guessOn()];
    expect(rounds.map(({ attempts }) => attempts)).toEqual([10, 10, 0]);
    expect(rounds[0]!.delay).toBeLessThanOrEqual(900);
    expect(rounds[2]!.delay).toBeGreaterThan(10_000);
  });

  it('counts an IPv6 network as one address', async () => {
    const { email } = await server.account();
    for (let n = 1; n <= 10; n += 1) await guess(email, 1, `2001:db8:1:1::${n}`);
    expect(await guess(email, 1, '2001:db8:1:1::ffff')).toEqual([429]);
    expect(await guess(email, 1, '2001:db8:1:2::1')).toEqual([401]);
  });

  it('resets the attempts after a successful sign-in', async () => {
    const { email } = await server.account();
    for (let round = 0; round < 3; round += 1) {
      await guess(email, 9, '10.200.0.2');
      expect(isIn(await browserAt('10.200.0.2').signIn(email, PASSWORD))).toBe(true);
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
    expect(isIn(await browserAt('10.200.1.1').signIn(email, PASSWORD))).toBe(true);
    expect(isIn(await browserAt('2001:db8:2:2::1').signIn(email, PASSWORD))).toBe(true);
    const statuses: number[] = [];
    for (let n = 0; n < 13; n += 1) statuses.push(...(await guess(email, 9)));
    // Concurrent requests arrive in any order.
    expect(statuses.slice(-9).sort()).toEqual([401, 401, 401, ...Array(6).fill(429)]);
    expect(isIn(await browserAt().signIn(email, PASSWORD))).toBe(true); // from an unknown address, within few attempts
    expect(isIn(await browserAt('10.200.1.1').signIn(email, PASSWORD))).toBe(true);
    expect(isIn(await browserAt('2001:db8:2:2:aaaa::9').signIn(email, PASSWORD))).toBe(true); // its IPv6 network
    expect((await guess(email, 4)).sort()).toEqual([401, 401, 401, 429]);
  });

  it('reveals a suspension only after the correct password', async () => {
    const { email, id } = await server.account();
    await server.base.db.account.update({ where: { id }, data: { status: 'suspended' } });
    expect((await browserAt().signIn(email, 'a wrong password')).status).toBe(401);
    const page = await browserAt().signIn(email, PASSWORD);
    expect(page.status).toBe(403);
    expect(await server.core.sessions.list(id)).toEqual([]);
  });

  it('rejects an authentication from before a password change or a suspension', async () => {
    const meta = { ...systemMeta, address: newAddress() };
    // Long after the account was created: two changes within a millisecond look like one.
    for (const data of [{ passwordChangedAt: new Date(Date.now() + 60_000) }, { status: 'suspended' }]) {
      const { id } = await server.account();
      const account = await server.base.db.account.findUniqueOrThrow({ where: { id } });
      await server.base.db.account.update({ where: { id }, data });
      for (const enter of [
        () => server.core.sessionIssuer.startBrowserSession({ account, amr: ['pwd'] }, undefined, meta),
        () => server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, meta),
      ]) {
        await expect(enter()).rejects.toMatchObject({ status: 401, code: 'invalid_credentials' });
      }
      expect(await server.core.sessions.list(id)).toEqual([]);
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
    const thief = browserAt();
    thief.cookies.set('signet_login', first);
    expect((await thief.open('/account')).url.pathname).toBe('/login');
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
    expect(await server.core.sessions.list(one.id)).toEqual([]);
    const thief = browserAt();
    thief.cookies.set('signet_login', before);
    expect((await thief.open('/account')).url.pathname).toBe('/login');
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
  });

  it('rejects forms of other sites', async () => {
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

  it('creates one account from 8 concurrent forms and limits registrations', async () => {
    const browser = browserAt();
    const page = await browser.open('/register');
    const fields = { email: 'many@example.com', name: 'Many', password: PASSWORD };
    const pages = await Promise.all(Array.from({ length: 8 }, () => browser.submit(page, fields)));
    expect(pages.filter(isIn)).toHaveLength(1);
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
    const trail = await server.core.audit.list({ accountId: id });
    const failed = trail.find(({ action }) => action === 'sign_in.failed');
    expect(failed).toMatchObject({ address: '10.200.3.1', detail: { reason: 'wrong_password' } });
    expect(trail.find(({ action }) => action === 'sign_in.succeeded')).toMatchObject({
      actorId: id,
      address: '10.200.3.1',
    });
    expect(JSON.stringify(trail)).not.toMatch(/a wrong password|correct horse/);
  });
});

describe.each(stores)('sessions on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(Date.now() + aheadMs) } });
  });
  afterAll(() => server.close());

  async function open() {
    const account = await server.account();
    const { session, token } = await server.core.sessions.open(account, ['pwd'], systemMeta);
    return { account, session, token };
  }
  const isOpen = async (token: string) => (await server.core.sessions.findByToken(token)) !== undefined;
  const DAY_MS = 86_400_000;

  it('expire without use, are extended by use, and expire after SESSION_MAX', async () => {
    const [idle, used] = [await open(), await open()];
    try {
      for (let day = 7; day <= 28; day += 7) {
        aheadMs = day * DAY_MS;
        expect(await isOpen(used.token), `day ${day}`).toBe(true);
      }
      expect(await isOpen(idle.token)).toBe(false);
      aheadMs = 30 * DAY_MS + 1000;
      expect(await isOpen(used.token)).toBe(false);
    } finally {
      aheadMs = 0;
    }
  });

  it('are revoked at once, alone or together', async () => {
    const { account, session, token } = await open();
    const other = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    expect([await isOpen(token), await isOpen(other.token)]).toEqual([false, true]);
    const third = await server.core.sessions.open(account, ['pwd'], systemMeta);
    await revokeAllSessions(server, account.id, 'password_changed', third.session.id);
    expect([await isOpen(other.token), await isOpen(third.token)]).toEqual([false, true]);
    await revokeAllSessions(server, account.id, 'revoked');
    expect(await isOpen(third.token)).toBe(false);
    const reasons = (await server.core.audit.list({ action: 'session.ended', accountId: account.id })).map(
      ({ detail }) => (detail as { reason: string }).reason,
    );
    expect(reasons.sort()).toEqual(['password_changed', 'revoked', 'signed_out']);
  });

  it('are revoked with their grants, except offline grants at sign-out', async () => {
    const { grants } = server.core.oauthStorage;
    const give = async (id: string, sessionId: string, accountId: string, offline: boolean) =>
      grants.save({
        id,
        accountId,
        clientId: 'c',
        sessionId,
        offline,
        consented: false,
        payload: {},
        expiresAt: new Date(Date.now() + 1e9),
      });
    const one = await open();
    await give('on', one.session.id, one.account.id, false);
    await give('off', one.session.id, one.account.id, true);
    await server.core.sessions.revoke(one.session.id, 'signed_out', systemMeta);
    expect((await grants.list(one.account.id)).map(({ id }) => id)).toEqual(['off']);
    const two = await open();
    await give('off2', two.session.id, two.account.id, true);
    await server.core.sessions.revoke(two.session.id, 'token_reuse', systemMeta);
    expect(await grants.list(two.account.id)).toEqual([]);
    expect(await give('late', two.session.id, two.account.id, true)).toBe(false);
    await revokeAllSessions(server, one.account.id, 'suspended');
    expect(await grants.list(one.account.id)).toEqual([]);
  });

  it('leave no grant when they are revoked during a new grant and a sign-out', async () => {
    const { grants } = server.core.oauthStorage;
    const { sessions } = server.core;
    const rounds = Array.from({ length: 8 }, async (_, n) => {
      const { account, session } = await open();
      const stays = await sessions.open(account, ['pwd'], systemMeta);
      const grant = { accountId: account.id, clientId: 'c', offline: true, consented: false, payload: {} };
      const expiresAt = new Date(Date.now() + 1e9);
      await Promise.all([
        grants.save({ ...grant, id: `race ${n}`, sessionId: session.id, expiresAt }),
        sessions.revoke(session.id, 'signed_out', systemMeta),
        revokeAllSessions(server, account.id, 'mfa_changed', stays.session.id),
        grants.save({ ...grant, id: `stays ${n}`, sessionId: stays.session.id, expiresAt }),
      ]);
      return (await grants.list(account.id)).map(({ id }) => id);
    });
    expect(await Promise.all(rounds)).toEqual(rounds.map((_, n) => [`stays ${n}`]));
  });

  it('notify the listeners once with the clients for back-channel logout', async () => {
    const { account, session } = await open();
    for (const clientId of ['a', 'b', 'a']) await server.core.sessions.rememberClient(session.id, clientId);
    const heard: unknown[] = [];
    server.core.sessions.onRevoked((ended) => heard.push(...ended));
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    await server.core.sessions.revoke(session.id, 'signed_out', systemMeta);
    expect(heard).toEqual([{ sessionId: session.id, accountId: account.id, clientIds: ['a', 'b'] }]);
  });

  it('are rejected for suspended accounts and before `notBefore`', async () => {
    const { account, token } = await open();
    await server.base.db.account.update({ where: { id: account.id }, data: { status: 'suspended' } });
    server.base.invalidationBus.publish('accounts', account.id);
    expect(await isOpen(token)).toBe(false);
    const other = await open();
    await server.base.db.account.update({
      where: { id: other.account.id },
      data: { notBefore: new Date(Date.now() + 1000) },
    });
    server.base.invalidationBus.publish('accounts', other.account.id);
    expect(await isOpen(other.token)).toBe(false);
  });
});
