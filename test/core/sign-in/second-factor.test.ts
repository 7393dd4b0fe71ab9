// Sign-in with a second factor, against an attacker who knows the password.

import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { requireCompleteAuthentication } from '../../../src/web/endpoints/require-complete.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { Authenticator, enrol } from '../../support/authenticator.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { DEVICE_GRANT } from '../../support/device.js';
import { movableClock } from '../../support/movable-clock.js';
import { authorizeUrl, obtainCode, pkce, redeemCode } from '../../support/relying-party.js';
import { postForm } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const MINUTE_MS = 60_000;

describe.each(stores)('sign-in with a second factor on $name', (store) => {
  let server: TestServer;
  const { clock, advance, later, reset } = movableClock();
  const { now } = clock;
  let addresses = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterEach(reset);
  afterAll(() => server.close());

  /** Returns a browser at a new address. */
  function browserAt(address = `10.7.${addresses++}.1`): Browser {
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-for': address };
    return browser;
  }

  const isSignedIn = (page: Page) => page.url.pathname === '/account';
  const asksForCode = (page: Page) => page.html.includes('name="otp"');
  const isSignedOut = async (browser: Browser) => (await browser.open('/account')).url.pathname === '/login';
  const firstStep = (email: string, browser = browserAt()) => browser.signIn(email, PASSWORD);

  it('requires a code or a recovery code in addition to the password', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    for (const otp of [app.code(now(), 1), recoveryCodes[0]!, recoveryCodes[1]!.replaceAll('-', ' ')]) {
      const browser = browserAt();
      const page = await firstStep(account.email, browser);
      expect(asksForCode(page)).toBe(true);
      expect(browser.cookies.has('signet_login')).toBe(false);
      expect(await isSignedOut(browser)).toBe(true);
      expect(isSignedIn(await browser.submit(page, { otp }))).toBe(true);
    }
    const succeeded = await server.core.audit.list({ accountId: account.id, action: 'sign_in.succeeded' });
    expect(succeeded.map(({ detail }) => detail)).toEqual(Array(3).fill({ amr: ['pwd', 'otp', 'mfa'] }));
  });

  it('rejects and audits a wrong code, a code of another account and a used code', async () => {
    const [one, other] = [await enrol(server, now()), await enrol(server, now())];
    const browser = browserAt();
    const page = await firstStep(one.account.email, browser);
    const used = one.app.code(now());
    for (const otp of [one.app.wrongCode(now()), other.app.code(now(), 1), used, '']) {
      const response = await browser.submit(page, { otp });
      expect([response.status, asksForCode(response)]).toEqual([401, true]);
    }
    expect(await isSignedOut(browser)).toBe(true);
    await server.core.audit.flush();
    const failed = await server.core.audit.list({ accountId: one.account.id, action: 'sign_in.failed' });
    expect(failed.map(({ detail }) => detail)).toEqual([{ reason: 'wrong_otp', repeated: 3 }, { reason: 'wrong_otp' }]);
    expect(isSignedIn(await browser.submit(page, { otp: one.app.code(now(), 1) }))).toBe(true);
  });

  it('succeeds once in 20 concurrent requests with the same challenge and code', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    const before = (await server.core.sessions.list(account.id, FIRST_PAGE)).items.length;
    const otp = app.code(now(), 1);
    await Promise.all(Array.from({ length: 20 }, () => browser.submit(page, { otp })));
    expect((await server.core.sessions.list(account.id, FIRST_PAGE)).items).toHaveLength(before + 1);
    // The challenge is not valid for a second sign-in, even with a valid code.
    const again = await browserWithCookiesOf(browser).submit(page, { otp: recoveryCodes[0]! });
    expect(isSignedIn(again)).toBe(false);
    expect((await server.core.sessions.list(account.id, FIRST_PAGE)).items).toHaveLength(before + 1);
  });

  /** Returns a browser with the cookies of another one from before its sign-in. */
  function browserWithCookiesOf(browser: Browser): Browser {
    const copy = browserAt();
    for (const [name, cookie] of browser.cookies) if (name !== 'signet_login') copy.cookies.set(name, cookie);
    return copy;
  }

  it('accepts a challenge once in 8 concurrent requests with valid codes', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const first = await server.core.signIn.withPassword({ email: account.email, password: PASSWORD }, meta());
    if (first.kind !== 'mfa_required') throw new Error('signed in by password alone');
    const responses = await Promise.allSettled(
      recoveryCodes.slice(0, 8).map((otp) => server.core.signIn.withSecondFactor(first.challenge, otp, meta())),
    );
    expect(responses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const response of responses) {
      if (response.status === 'rejected') expect(response.reason).toMatchObject({ code: 'invalid_token' });
    }
  });

  it('issues no session for a password alone that was verified before the second factor was set up', async () => {
    const { signIn, sessionIssuer, sessions } = server.core;
    const account = await server.account();
    const results = await Promise.all(
      Array.from({ length: 10 }, () => signIn.withPassword({ email: account.email, password: PASSWORD }, meta())),
    );
    const verified = results.map((result) => requireCompleteAuthentication(result));
    const [enrolment] = await Promise.allSettled([
      enrol(server, now(), account),
      ...verified.flatMap((authentication) => [
        sessionIssuer.startBrowserSession(authentication, undefined, meta()),
        sessionIssuer.issueTokens(authentication, meta()),
      ]),
    ]);
    if (enrolment.status === 'rejected') throw enrolment.reason;
    expect((await sessions.list(account.id, FIRST_PAGE)).items.map(({ id }) => id)).toEqual([
      enrolment.value.login.session.id,
    ]);
    for (const open of [
      () => sessionIssuer.startBrowserSession(verified[0]!, undefined, meta()),
      () => sessionIssuer.issueTokens(verified[0]!, meta()),
    ]) {
      await expect(open()).rejects.toMatchObject({ code: 'invalid_credentials' });
    }
  });

  const meta = () => ({ address: `10.8.${addresses++}.1`, userAgent: '', requestId: '' });

  it('rejects a challenge from another browser', async () => {
    const { account, app } = await enrol(server, now());
    const page = await firstStep(account.email);
    const otp = app.code(now(), 1);
    const attacker = browserAt();
    const own = formsOf((await attacker.open('/login')).html)[0]!.fields.csrf!;
    expect((await attacker.submit(page, { otp })).status).toBe(403);
    expect((await attacker.submit(page, { otp, csrf: own })).status).toBe(403); // with the attacker's own form token
    const { account: decoy } = await enrol(server, now());
    const decoyForm = formsOf((await firstStep(decoy.email, attacker)).html)[0]!.fields;
    expect((await attacker.submit(page, { otp, csrf: decoyForm.csrf! })).status).toBe(403); // with the form token of another challenge
    expect(await isSignedOut(attacker)).toBe(true);
  });

  it('rejects a challenge after five minutes', async () => {
    const { account, app } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    await later(5 * MINUTE_MS + 1000, async () => {
      const late = await browser.submit(page, { otp: app.code(now()) });
      expect([late.status, late.html.includes('name="password"')]).toEqual([401, true]);
    });
    expect(await isSignedOut(browser)).toBe(true);
    advance(4 * MINUTE_MS);
    expect(isSignedIn(await browser.submit(page, { otp: app.code(now()) }))).toBe(true);
  });

  it('rejects a challenge after a password change or a suspension', async () => {
    const [changed, suspended] = [await enrol(server, now()), await enrol(server, now())];
    const [one, other] = [browserAt(), browserAt()];
    const pages = [await firstStep(changed.account.email, one), await firstStep(suspended.account.email, other)];
    advance(1000);
    await changeAccount(server, changed.account.id, { password: 'nine unrelated lanterns' });
    expect((await one.submit(pages[0]!, { otp: changed.app.code(now(), 1) })).status).toBe(401);
    await suspendAccount(server, suspended.account.id);
    expect((await other.submit(pages[1]!, { otp: suspended.app.code(now(), 1) })).status).toBe(403);
    expect([await isSignedOut(one), await isSignedOut(other)]).toEqual([true, true]);
  });

  it('rejects a forged or modified challenge', async () => {
    const { account, app } = await enrol(server, now());
    const page = await firstStep(account.email);
    const challenge = formsOf(page.html)[0]!.fields.challenge!;
    const otp = app.code(now(), 1);
    const sealedForOther = await server.base.secrets.seal('totp', JSON.stringify({ accountId: account.id }));
    const middle = challenge.length >> 1;
    const modified = challenge.slice(0, middle) + (challenge[middle] === 'A' ? 'B' : 'A') + challenge.slice(middle + 1);
    for (const wrong of ['', 'x', '{}', modified, sealedForOther, challenge.slice(0, -3)]) {
      await expect(server.core.signIn.withSecondFactor(wrong, otp, meta())).rejects.toMatchObject({
        code: 'invalid_token',
      });
    }
  });

  it('reveals a second factor only after a correct password', async () => {
    const { account, app } = await enrol(server, now());
    const wrong = await browserAt().signIn(account.email, 'a wrong password');
    const unknown = await browserAt().signIn('unknown@example.com', 'a wrong password');
    const words = (html: string) => html.replace(/value="[^"]*"/g, '');
    expect(words(wrong.html)).toBe(words(unknown.html));
    const guess = { email: account.email, password: 'a wrong password', otp: app.code(now(), 1) };
    await expect(server.core.signIn.withPassword(guess, meta())).rejects.toMatchObject({
      code: 'invalid_credentials',
    });
    const right = await server.core.signIn.withPassword({ ...guess, password: PASSWORD }, meta());
    expect(right.kind).toBe('complete'); // the wrong password did not consume the code
  });

  it('counts a correct password with a wrong code as an attempt', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const from = { ...meta(), address: '10.9.9.9' };
    const wrong = { email: account.email, password: PASSWORD, otp: '9999-9999-9999-9999-9999-9999' };
    const codes: string[] = [];
    for (let n = 0; n < 12; n += 1) {
      codes.push(await server.core.signIn.withPassword(wrong, from).then(String, ({ code }) => code));
    }
    expect(codes).toEqual([...Array(10).fill('invalid_otp'), 'auth_rate_limited', 'auth_rate_limited']);
    const owner = { email: account.email, password: PASSWORD, otp: recoveryCodes[0]! };
    expect((await server.core.signIn.withPassword(owner, meta())).kind).toBe('complete');
  });

  it('refunds exactly one attempt for a correct password without a code', async () => {
    const from = { ...meta(), address: '10.9.9.8' };
    const attempt = async (password: string, email: string, times: number) => {
      const codes: string[] = [];
      for (let n = 0; n < times; n += 1) {
        const response = server.core.signIn.withPassword({ email, password }, from);
        codes.push(
          await response.then(
            ({ kind }) => kind,
            ({ code }) => code,
          ),
        );
      }
      return codes;
    };
    const { account, recoveryCodes } = await enrol(server, now());
    expect(await attempt(PASSWORD, account.email, 120)).toEqual(Array(120).fill('mfa_required'));
    expect(await attempt('a wrong password', account.email, 10)).toEqual(Array(10).fill('invalid_credentials'));
    expect(await attempt(PASSWORD, account.email, 1)).toEqual(['auth_rate_limited']);
    // Each address has a hundred attempts, regardless of successful sign-ins in between.
    for (const otp of recoveryCodes.slice(0, 5)) {
      const other = { ...from, address: '10.9.9.7' };
      const step = await server.core.signIn.withPassword({ email: account.email, password: PASSWORD }, other);
      if (step.kind === 'mfa_required') await server.core.signIn.withSecondFactor(step.challenge, otp, other);
    }
    const codes: string[] = [];
    for (let n = 0; n < 101; n += 1) {
      const guess = { email: `target${n}@example.com`, password: 'a wrong password' };
      const other = { ...from, address: '10.9.9.7' };
      codes.push(await server.core.signIn.withPassword(guess, other).then(String, ({ code }) => code));
    }
    expect(codes).toEqual([...Array(100).fill('invalid_credentials'), 'auth_rate_limited']);
  });

  it('limits attempts at codes on the page and returns the waiting time', async () => {
    const { account, app } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    const otp = app.wrongCode(now());
    const responses = await Promise.all(Array.from({ length: 15 }, () => browser.submit(page, { otp })));
    expect(responses.map(({ status }) => status).sort()).toEqual([...Array(5).fill(401), ...Array(10).fill(429)]);
    const limited = responses.find(({ status }) => status === 429)!;
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(asksForCode(limited)).toBe(true);
    // Other addresses share the limit: it protects the codes of the account.
    const other = browserAt();
    const next = await other.submit(await firstStep(account.email, other), { otp: app.code(now(), 1) });
    expect(next.status).toBe(429);
  });

  it('does not let an attacker without the password lock the owner out', async () => {
    const { account, app } = await enrol(server, now());
    for (let n = 0; n < 9; n += 1) {
      const guess = { email: account.email, password: 'a wrong password', otp: app.wrongCode(now()) };
      await server.core.signIn.withPassword(guess, meta()).catch(() => {});
    }
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    expect(isSignedIn(await browser.submit(page, { otp: app.code(now(), 1) }))).toBe(true);
  });

  describe('under a distributed attack with the password', () => {
    /** Guesses a code at 12 unknown locations. Returns the error codes. */
    async function guessAtUnknownLocations(
      { account, app }: Awaited<ReturnType<typeof enrol>>,
      otp = app.wrongCode(now()),
    ) {
      const codes: string[] = [];
      for (let n = 0; n < 12; n += 1) {
        const guess = { email: account.email, password: PASSWORD, otp };
        const from = { ...meta(), address: `10.8.${addresses++}.1` };
        codes.push(await server.core.signIn.withPassword(guess, from).then(String, ({ code }) => code));
      }
      return codes;
    }

    it('accepts the owner at a known address or in a known browser', async () => {
      const enrolled = await enrol(server, now());
      const { account, app } = enrolled;
      const home = browserAt('10.6.0.1');
      expect(isSignedIn(await home.submit(await firstStep(account.email, home), { otp: app.code(now(), 1) }))).toBe(
        true,
      );
      await home.submit(await home.open('/logout'));
      advance(MINUTE_MS);
      expect(await guessAtUnknownLocations(enrolled)).toEqual([
        ...Array(5).fill('invalid_otp'),
        ...Array(7).fill('auth_rate_limited'),
      ]);
      const sameAddress = browserAt('10.6.0.1');
      const page = await firstStep(account.email, sameAddress);
      expect(isSignedIn(await sameAddress.submit(page, { otp: app.code(now(), 1) }))).toBe(true);
      advance(MINUTE_MS);
      home.headers = { ...home.headers, 'x-forwarded-for': '10.6.0.2' };
      const newAddressPage = await firstStep(account.email, home);
      expect(isSignedIn(await home.submit(newAddressPage, { otp: app.code(now(), 1) }))).toBe(true);
      advance(MINUTE_MS);
      expect(await guessAtUnknownLocations(enrolled)).toEqual(Array(12).fill('auth_rate_limited'));
    });

    it('treats an IPv6 network as one known location', async () => {
      const enrolled = await enrol(server, now());
      const signIn = async (address: string, otp: string) => {
        const from = { ...meta(), address };
        const owner = { email: enrolled.account.email, password: PASSWORD, otp };
        return server.core.sessionIssuer.issueTokens(
          requireCompleteAuthentication(await server.core.signIn.withPassword(owner, from)),
          from,
        );
      };
      await signIn('2001:db8:1:2::1', enrolled.recoveryCodes[0]!);
      await guessAtUnknownLocations(enrolled);
      const otp = enrolled.app.code(now(), 1);
      await expect(signIn('2001:db8:1:3::1', otp)).rejects.toMatchObject({ code: 'auth_rate_limited' });
      expect((await signIn('2001:db8:1:2:a:b:c:d', otp)).account.id).toBe(enrolled.account.id);
    });

    it('limits attempts at a known location as well', async () => {
      const { account, app, recoveryCodes } = await enrol(server, now());
      const home = browserAt('10.6.0.3');
      await home.submit(await firstStep(account.email, home), { otp: recoveryCodes[0]! });
      await home.submit(await home.open('/logout'));
      const page = await firstStep(account.email, home);
      const statuses: number[] = [];
      for (let n = 0; n < 7; n += 1) statuses.push((await home.submit(page, { otp: app.wrongCode(now()) })).status);
      expect(statuses).toEqual([...Array(5).fill(401), 429, 429]);
    });

    it('does not trust locations of sign-ins by password alone', async () => {
      const account = await server.account();
      const attacker = { ...meta(), address: '10.6.0.4' };
      await server.core.sessionIssuer.issueTokens(
        requireCompleteAuthentication(
          await server.core.signIn.withPassword({ email: account.email, password: PASSWORD }, attacker),
        ),
        attacker,
      );
      const enrolled = await enrol(server, now(), account);
      await guessAtUnknownLocations(enrolled);
      const guess = { email: account.email, password: PASSWORD, otp: enrolled.app.wrongCode(now()) };
      const rejected = await server.core.signIn.withPassword(guess, attacker).catch(({ code }) => code);
      expect(rejected).toBe('auth_rate_limited');
    });

    it('accepts recovery codes at any location', async () => {
      const enrolled = await enrol(server, now());
      for (let n = 0; n < 3; n += 1) await guessAtUnknownLocations(enrolled, '9999-9999-9999-9999-9999-9999');
      const browser = browserAt();
      const page = await firstStep(enrolled.account.email, browser);
      expect(isSignedIn(await browser.submit(page, { otp: enrolled.recoveryCodes[0]! }))).toBe(true);
    });
  });

  it.each([{}, { prompt: 'login' }, { prompt: 'consent' }, { max_age: '0' }, { max_age: '10000' }] as Record<
    string,
    string
  >[])('is required before the consent page of an app, with %o', async (more) => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const client = await server.client();
    const browser = browserAt();
    const page = await browser.signIn(
      account.email,
      PASSWORD,
      await browser.open(authorizeUrl(server, client, pkce().challenge, more)),
    );
    expect([asksForCode(page), page.url.origin]).toEqual([true, browser.origin]);
    const loginPage = await browserWithCookiesOf(browser).open(authorizeUrl(server, client, pkce().challenge, more));
    expect(loginPage.url.pathname).toBe('/login');
    expect((await browser.submit(page, { otp: app.wrongCode(now()) })).url.origin).toBe(browser.origin);
    const consentPage = await browser.submit(page, { otp: recoveryCodes[0]! });
    expect(consentPage.html).toContain('name="decision"');
  });

  it('is required for device authorization and for switching accounts', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const other = await server.account();
    const browser = browserAt();
    await browser.signIn(other.email, PASSWORD);
    const page = await browser.signIn(account.email, PASSWORD);
    expect(asksForCode(page)).toBe(true);
    expect((await browser.open('/account')).html).toContain(other.email);
    const device = await server.client({
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
    });
    const { json } = await postForm(server, '/oauth/device', { client_id: device.id, scope: 'openid' });
    const user_code = String(json.user_code);
    const fresh = browserAt();
    const confirm = await fresh.submit(await fresh.open('/device'), { user_code });
    const login = await fresh.submit(confirm, { confirm: 'yes' });
    const factor = await fresh.signIn(account.email, PASSWORD, login);
    expect(asksForCode(factor)).toBe(true);
    expect((await fresh.submit(factor, { otp: recoveryCodes[0]! })).html).toContain('name="decision"');
  });

  it('returns the authentication methods to clients', async () => {
    const { account, token } = await enrol(server, now());
    const client = await server.client();
    const amrOf = async (browser: Browser) => {
      const { body } = await redeemCode(server, client, await obtainCode(server, client, account.email, {}, browser));
      return decodeJwt(body.id_token!).amr;
    };
    const withPassword = browserAt();
    withPassword.cookies.set('signet_login', { value: token, path: '/' });
    expect(await amrOf(withPassword)).toEqual(['pwd']);
    const withBoth = browserAt();
    advance(2 * MINUTE_MS);
    const app = new Authenticator(await secretOf(account.id));
    await withBoth.submit(await firstStep(account.email, withBoth), { otp: app.code(now()) });
    expect(await amrOf(withBoth)).toEqual(['pwd', 'otp', 'mfa']);
  });

  async function secretOf(accountId: string): Promise<string> {
    const { sealedSecret } = await server.base.db.totpFactor.findUniqueOrThrow({ where: { accountId } });
    return server.base.secrets.open('totp', sealedSecret);
  }

  it('supports re-authentication by password or by code', async () => {
    const { account, login, app } = await enrol(server, now());
    const { reauthenticate } = server.core.signIn;
    const authenticatedAt = async () => (await server.core.sessions.find(login.session.id))!.session.authTime.getTime();
    const start = await authenticatedAt();
    advance(20 * MINUTE_MS);
    await expect(reauthenticate(login, {}, meta())).rejects.toMatchObject({ status: 400 });
    await expect(reauthenticate(login, { password: 'a wrong password' }, meta())).rejects.toMatchObject({
      code: 'invalid_credentials',
    });
    await expect(reauthenticate(login, { otp: app.wrongCode(now()) }, meta())).rejects.toMatchObject({
      code: 'invalid_otp',
    });
    const both = { password: PASSWORD, otp: app.wrongCode(now()) };
    await expect(reauthenticate(login, both, meta())).rejects.toMatchObject({ code: 'invalid_otp' });
    expect(await authenticatedAt()).toBe(start);
    await reauthenticate(login, { password: PASSWORD }, meta());
    expect(await authenticatedAt()).toBeGreaterThan(start + 19 * MINUTE_MS);
    advance(20 * MINUTE_MS);
    await reauthenticate(login, { otp: app.code(now()) }, meta());
    expect(await authenticatedAt()).toBeGreaterThan(start + 39 * MINUTE_MS);
    expect((await server.core.sessions.find(login.session.id))!.amr).toEqual(['pwd', 'otp', 'mfa']);
    await expect(reauthenticate(login, { otp: app.code(now()) }, meta())).rejects.toMatchObject({
      code: 'invalid_otp',
    });
    expect(await server.core.audit.list({ accountId: account.id, action: 'session.reauthenticated' })).toHaveLength(2);
  });
});
