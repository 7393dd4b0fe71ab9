// Sign-in with a second factor, against an attacker who knows the password.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { requireCompleteAuthentication } from '../../../src/web/endpoints/require-complete.js';
import { Authenticator, enrol } from '../../support/authenticator.js';
import { Browser, formsOf, type Page } from '../../support/browser.js';
import { authorizeUrl, obtainCode, pkce } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const MINUTE_MS = 60_000;

describe.each(stores)('sign-in with a second factor on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  let addresses = 0;
  const now = () => new Date(Date.now() + aheadMs);
  beforeAll(async () => {
    server = await startServer({ store, clock: { now }, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterEach(() => {
    aheadMs = 0;
  });
  afterAll(() => server.close());

  /** Returns a browser at a new address. */
  function browserAt(address = `10.7.${addresses++}.1`): Browser {
    const browser = new Browser(server.origin);
    browser.headers = { ...browser.headers, 'x-forwarded-for': address };
    return browser;
  }

  const isIn = (page: Page) => page.url.pathname === '/account';
  const asksForCode = (page: Page) => page.html.includes('name="otp"');
  const isOut = async (browser: Browser) => (await browser.open('/account')).url.pathname === '/login';
  const firstStep = (email: string, browser = browserAt()) => browser.signIn(email, PASSWORD);

  it('rejects the password alone and accepts it with a code or a recovery code', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    for (const otp of [app.code(now(), 1), recoveryCodes[0]!, recoveryCodes[1]!.replaceAll('-', ' ')]) {
      const browser = browserAt();
      const page = await firstStep(account.email, browser);
      expect(asksForCode(page)).toBe(true);
      expect(browser.cookies.has('signet_login')).toBe(false);
      expect(await isOut(browser)).toBe(true);
      expect(isIn(await browser.submit(page, { otp }))).toBe(true);
    }
    const succeeded = await server.core.audit.list({ accountId: account.id, action: 'sign_in.succeeded' });
    expect(succeeded.map(({ detail }) => detail)).toEqual(Array(3).fill({ amr: ['pwd', 'otp', 'mfa'] }));
  });

  it('rejects and audits a wrong code, one of another account and a used one', async () => {
    const [one, other] = [await enrol(server, now()), await enrol(server, now())];
    const browser = browserAt();
    const page = await firstStep(one.account.email, browser);
    const used = one.app.code(now());
    for (const otp of [one.app.wrongCode(now()), other.app.code(now(), 1), used, '']) {
      const response = await browser.submit(page, { otp });
      expect([response.status, asksForCode(response)]).toEqual([401, true]);
    }
    expect(await isOut(browser)).toBe(true);
    await server.core.audit.flush();
    const failed = await server.core.audit.list({ accountId: one.account.id, action: 'sign_in.failed' });
    expect(failed.map(({ detail }) => detail)).toEqual(Array(4).fill({ reason: 'wrong_otp' }));
    expect(isIn(await browser.submit(page, { otp: one.app.code(now(), 1) }))).toBe(true);
  });

  it('succeeds once in 20 concurrent requests with the same challenge and code', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    const before = (await server.core.sessions.list(account.id)).length;
    const otp = app.code(now(), 1);
    await Promise.all(Array.from({ length: 20 }, () => browser.submit(page, { otp })));
    expect(await server.core.sessions.list(account.id)).toHaveLength(before + 1);
    // The challenge is not valid for a second sign-in, even with a valid code.
    const again = await browserWith(browser).submit(page, { otp: recoveryCodes[0]! });
    expect(isIn(again)).toBe(false);
    expect(await server.core.sessions.list(account.id)).toHaveLength(before + 1);
  });

  /**
   * The form token of the browser before sign-in, as on a stored copy of the page.
   */
  function browserWith(browser: Browser): Browser {
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

  it('rejects sign-ins by password alone that run while the second factor is set up', async () => {
    const { signIn, sessionIssuer, sessions } = server.core;
    const account = await server.account();
    const admissions = await Promise.all(
      Array.from({ length: 10 }, () => signIn.withPassword({ email: account.email, password: PASSWORD }, meta())),
    );
    const onTheWay = admissions.map((authResult) => requireCompleteAuthentication(authResult));
    const [enrolment] = await Promise.allSettled([
      enrol(server, now(), account),
      ...onTheWay.flatMap((proven) => [
        sessionIssuer.startBrowserSession(proven, undefined, meta()),
        sessionIssuer.issueTokens(proven, meta()),
      ]),
    ]);
    if (enrolment.status === 'rejected') throw enrolment.reason;
    expect((await sessions.list(account.id)).map(({ id }) => id)).toEqual([enrolment.value.login.session.id]);
    for (const open of [
      () => sessionIssuer.startBrowserSession(onTheWay[0]!, undefined, meta()),
      () => sessionIssuer.issueTokens(onTheWay[0]!, meta()),
    ]) {
      await expect(open()).rejects.toMatchObject({ code: 'invalid_credentials' });
    }
  });

  const meta = () => ({ address: `10.8.${addresses++}.1`, userAgent: '', requestId: '' });

  it('rejects a challenge from another browser', async () => {
    const { account, app } = await enrol(server, now());
    const page = await firstStep(account.email);
    const otp = app.code(now(), 1);
    const thief = browserAt();
    const own = formsOf((await thief.open('/login')).html)[0]!.fields.csrf!;
    expect((await thief.submit(page, { otp })).status).toBe(403);
    expect((await thief.submit(page, { otp, csrf: own })).status).toBe(403); // with a form token of his own
    const { account: decoy } = await enrol(server, now());
    const decoyForm = formsOf((await firstStep(decoy.email, thief)).html)[0]!.fields;
    expect((await thief.submit(page, { otp, csrf: decoyForm.csrf! })).status).toBe(403); // made for another challenge
    expect(await isOut(thief)).toBe(true);
  });

  it('rejects a challenge after five minutes', async () => {
    const { account, app } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    aheadMs = 5 * MINUTE_MS + 1000;
    const late = await browser.submit(page, { otp: app.code(now()) });
    expect([late.status, late.html.includes('name="password"')]).toEqual([401, true]);
    expect(await isOut(browser)).toBe(true);
    aheadMs = 4 * MINUTE_MS;
    expect(isIn(await browser.submit(page, { otp: app.code(now()) }))).toBe(true);
  });

  it('rejects a challenge after a password change or a suspension', async () => {
    const [changed, suspended] = [await enrol(server, now()), await enrol(server, now())];
    const [one, other] = [browserAt(), browserAt()];
    const pages = [await firstStep(changed.account.email, one), await firstStep(suspended.account.email, other)];
    await server.base.db.account.update({
      where: { id: changed.account.id },
      data: { passwordChangedAt: new Date(now().getTime() + 1) },
    });
    expect((await one.submit(pages[0]!, { otp: changed.app.code(now(), 1) })).status).toBe(401);
    await server.base.db.account.update({ where: { id: suspended.account.id }, data: { status: 'suspended' } });
    expect((await other.submit(pages[1]!, { otp: suspended.app.code(now(), 1) })).status).toBe(403);
    expect([await isOut(one), await isOut(other)]).toEqual([true, true]);
  });

  it('rejects a forged or modified challenge', async () => {
    const { account, app } = await enrol(server, now());
    const page = await firstStep(account.email);
    const challenge = formsOf(page.html)[0]!.fields.challenge!;
    const otp = app.code(now(), 1);
    const sealedForOther = await server.base.secrets.seal('totp', JSON.stringify({ accountId: account.id }));
    const middle = challenge.length >> 1;
    const bent = challenge.slice(0, middle) + (challenge[middle] === 'A' ? 'B' : 'A') + challenge.slice(middle + 1);
    for (const wrong of ['', 'x', '{}', bent, sealedForOther, challenge.slice(0, -3)]) {
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
    expect(right.kind).toBe('complete'); // the code was not spent by the wrong password
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
    const tries = async (password: string, email: string, times: number) => {
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
    expect(await tries(PASSWORD, account.email, 120)).toEqual(Array(120).fill('mfa_required'));
    expect(await tries('a wrong password', account.email, 10)).toEqual(Array(10).fill('invalid_credentials'));
    expect(await tries(PASSWORD, account.email, 1)).toEqual(['auth_rate_limited']);
    // Each address has a hundred attempts, regardless of successful sign-ins in between.
    for (const otp of recoveryCodes.slice(0, 5)) {
      const other = { ...from, address: '10.9.9.7' };
      const step = await server.core.signIn.withPassword({ email: account.email, password: PASSWORD }, other);
      if (step.kind === 'mfa_required') await server.core.signIn.withSecondFactor(step.challenge, otp, other);
    }
    const attempts: string[] = [];
    for (let n = 0; n < 101; n += 1) {
      const guess = { email: `target${n}@example.com`, password: 'a wrong password' };
      const other = { ...from, address: '10.9.9.7' };
      attempts.push(await server.core.signIn.withPassword(guess, other).then(String, ({ code }) => code));
    }
    expect(attempts).toEqual([...Array(100).fill('invalid_credentials'), 'auth_rate_limited']);
  });

  it('limits attempts at codes on the page and returns the waiting time', async () => {
    const { account, app } = await enrol(server, now());
    const browser = browserAt();
    const page = await firstStep(account.email, browser);
    const otp = app.wrongCode(now());
    const responses = await Promise.all(Array.from({ length: 15 }, () => browser.submit(page, { otp })));
    expect(responses.map(({ status }) => status).sort()).toEqual([...Array(5).fill(401), ...Array(10).fill(429)]);
    const slowed = responses.find(({ status }) => status === 429)!;
    expect(Number(slowed.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(asksForCode(slowed)).toBe(true);
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
    expect(isIn(await browser.submit(page, { otp: app.code(now(), 1) }))).toBe(true);
  });

  describe('under a distributed attack with the password', () => {
    /** Guesses until every unknown location is rejected. */
    async function guessFromEverywhere(
      { account, app }: Awaited<ReturnType<typeof enrol>>,
      otp = app.wrongCode(now()),
    ) {
      const responses: string[] = [];
      for (let n = 0; n < 12; n += 1) {
        const guess = { email: account.email, password: PASSWORD, otp };
        const from = { ...meta(), address: `10.8.${addresses++}.1` };
        responses.push(await server.core.signIn.withPassword(guess, from).then(String, ({ code }) => code));
      }
      return responses;
    }

    it('accepts the owner at a known address or in a known browser', async () => {
      const enrolled = await enrol(server, now());
      const { account, app } = enrolled;
      const home = browserAt('10.6.0.1');
      expect(isIn(await home.submit(await firstStep(account.email, home), { otp: app.code(now(), 1) }))).toBe(true);
      await home.submit(await home.open('/logout'));
      aheadMs = MINUTE_MS;
      expect(await guessFromEverywhere(enrolled)).toEqual([
        ...Array(5).fill('invalid_otp'),
        ...Array(7).fill('auth_rate_limited'),
      ]);
      const sameAddress = browserAt('10.6.0.1');
      const page = await firstStep(account.email, sameAddress);
      expect(isIn(await sameAddress.submit(page, { otp: app.code(now(), 1) }))).toBe(true);
      aheadMs = 2 * MINUTE_MS;
      home.headers = { ...home.headers, 'x-forwarded-for': '10.6.0.2' };
      const onTheWay = await firstStep(account.email, home);
      expect(isIn(await home.submit(onTheWay, { otp: app.code(now(), 1) }))).toBe(true);
      aheadMs = 3 * MINUTE_MS;
      expect(await guessFromEverywhere(enrolled)).toEqual(Array(12).fill('auth_rate_limited'));
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
      await guessFromEverywhere(enrolled);
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
      const thief = { ...meta(), address: '10.6.0.4' };
      await server.core.sessionIssuer.issueTokens(
        requireCompleteAuthentication(
          await server.core.signIn.withPassword({ email: account.email, password: PASSWORD }, thief),
        ),
        thief,
      );
      const enrolled = await enrol(server, now(), account);
      await guessFromEverywhere(enrolled);
      const guess = { email: account.email, password: PASSWORD, otp: enrolled.app.wrongCode(now()) };
      const rejected = await server.core.signIn.withPassword(guess, thief).catch(({ code }) => code);
      expect(rejected).toBe('auth_rate_limited');
    });

    it('accepts recovery codes at any location', async () => {
      const enrolled = await enrol(server, now());
      for (let n = 0; n < 3; n += 1) await guessFromEverywhere(enrolled, '9999-9999-9999-9999-9999-9999');
      const browser = browserAt();
      const page = await firstStep(enrolled.account.email, browser);
      expect(isIn(await browser.submit(page, { otp: enrolled.recoveryCodes[0]! }))).toBe(true);
    });
  });

  it.each([{}, { prompt: 'login' }, { prompt: 'consent' }, { max_age: '0' }, { max_age: '10000' }] as Record<
    string,
    string
  >[])('stands in the way of an app’s sign-in as well: %o', async (more) => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const client = await server.client();
    const browser = browserAt();
    const page = await browser.signIn(
      account.email,
      PASSWORD,
      await browser.open(authorizeUrl(server, client, pkce().challenge, more)),
    );
    expect([asksForCode(page), page.url.origin]).toEqual([true, browser.origin]);
    const stepUp = await browserWith(browser).open(authorizeUrl(server, client, pkce().challenge, more));
    expect(stepUp.url.pathname).toBe('/login');
    expect((await browser.submit(page, { otp: app.wrongCode(now()) })).url.origin).toBe(browser.origin);
    const inside = await browser.submit(page, { otp: recoveryCodes[0]! });
    expect(inside.html).toContain('name="decision"');
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
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: [],
    });
    const asked = await fetch(`${server.origin}/oauth/device`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: device.id, scope: 'openid' }),
    });
    const { user_code } = (await asked.json()) as { user_code: string };
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
      const { code, verifier } = await obtainCode(server, client, account.email, {}, browser);
      const response = await redeemed(client, code, verifier);
      return (JSON.parse(Buffer.from(response.split('.')[1]!, 'base64url').toString()) as { amr: string[] }).amr;
    };
    const byPassword = browserAt();
    byPassword.cookies.set('signet_login', { value: token, path: '/' });
    expect(await amrOf(byPassword)).toEqual(['pwd']);
    const byBoth = browserAt();
    aheadMs = 2 * MINUTE_MS;
    const app = new Authenticator(await secretOf(account.id));
    await byBoth.submit(await firstStep(account.email, byBoth), { otp: app.code(now()) });
    expect(await amrOf(byBoth)).toEqual(['pwd', 'otp', 'mfa']);
  });

  async function secretOf(accountId: string): Promise<string> {
    const { sealedSecret } = await server.base.db.totpFactor.findUniqueOrThrow({ where: { accountId } });
    return server.base.secrets.open('totp', sealedSecret);
  }

  async function redeemed(client: { id: string; secret: string }, code: string, verifier: string): Promise<string> {
    const response = await fetch(`${server.origin}/api/v1/oauth/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: 'https://acme.example/cb',
      }),
    });
    return ((await response.json()) as { id_token: string }).id_token;
  }

  it('supports re-authentication by password or by code', async () => {
    const { account, login, app } = await enrol(server, now());
    const { reauthenticate } = server.core.signIn;
    const provenAt = async () => (await server.core.sessions.find(login.session.id))!.session.authTime.getTime();
    const start = await provenAt();
    aheadMs = 20 * MINUTE_MS;
    await expect(reauthenticate(login, {}, meta())).rejects.toMatchObject({ status: 400 });
    await expect(reauthenticate(login, { password: 'a wrong password' }, meta())).rejects.toMatchObject({
      code: 'invalid_credentials',
    });
    await expect(reauthenticate(login, { otp: app.wrongCode(now()) }, meta())).rejects.toMatchObject({
      code: 'invalid_otp',
    });
    const both = { password: PASSWORD, otp: app.wrongCode(now()) };
    await expect(reauthenticate(login, both, meta())).rejects.toMatchObject({ code: 'invalid_otp' });
    expect(await provenAt()).toBe(start);
    await reauthenticate(login, { password: PASSWORD }, meta());
    expect(await provenAt()).toBeGreaterThan(start + 19 * MINUTE_MS);
    aheadMs = 40 * MINUTE_MS;
    await reauthenticate(login, { otp: app.code(now()) }, meta());
    expect(await provenAt()).toBeGreaterThan(start + 39 * MINUTE_MS);
    expect((await server.core.sessions.find(login.session.id))!.amr).toEqual(['pwd', 'otp', 'mfa']);
    await expect(reauthenticate(login, { otp: app.code(now()) }, meta())).rejects.toMatchObject({
      code: 'invalid_otp',
    });
    expect(await server.core.audit.list({ accountId: account.id, action: 'session.reauthenticated' })).toHaveLength(2);
  });
});
