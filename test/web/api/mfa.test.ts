// The second factor over the JSON API: set up, asked for, proved again, removed.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Authenticator, enrol, readQrCode } from '../../support/authenticator.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const MINUTE_MS = 60_000;
const MFA = '/api/v1/auth/mfa';

describe.each(stores)('the second factor over the API on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  const now = () => new Date(Date.now() + aheadMs);
  beforeAll(async () => {
    const settings = { RATE_LIMIT_ANONYMOUS: '0', RATE_LIMIT_DEFAULT: '0' };
    server = await startServer({ store, clock: { now }, settings });
  });
  afterEach(() => {
    aheadMs = 0;
  });
  afterAll(() => server.close());

  async function ask(method: string, path: string, { token, body }: { token?: string; body?: object } = {}) {
    const response = await fetch(`${server.origin}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Record<string, string> & { recovery_codes: string[] };
    return { status: response.status, headers: response.headers, body: answer, error: answer.error };
  }

  const login = (email: string, more: object = {}, path = 'login') =>
    ask('POST', `/api/v1/auth/${path}`, { body: { email, password: PASSWORD, ...more } });

  it('is set up from the answer alone, by text, link or picture, and then asked for', async () => {
    const { email } = await server.account();
    const { access_token: token, refresh_token: refreshToken } = (await login(email)).body;
    const other = (await login(email)).body.access_token!;
    const begun = await ask('POST', `${MFA}/totp`, { token });
    expect(begun.status).toBe(200);
    expect(begun.headers.get('cache-control')).toBe('no-store');
    expect(readQrCode(begun.body.qr_svg!)).toBe(begun.body.otpauth_uri);
    const app = Authenticator.scan(begun.body.otpauth_uri!);
    expect(app.secret).toBe(begun.body.secret);
    expect((await login(email)).status).toBe(200); // it counts once it is confirmed
    const wrong = await ask('POST', `${MFA}/totp/confirm`, { token, body: { otp: app.wrongCode(now()) } });
    expect([wrong.status, wrong.error]).toEqual([401, 'invalid_otp']);
    const confirmed = await ask('POST', `${MFA}/totp/confirm`, { token, body: { otp: app.code(now()) } });
    expect(confirmed.body.recovery_codes).toHaveLength(10);
    expect((await ask('POST', `${MFA}/totp`, { token })).error).toBe('conflict');

    // This login goes on, with its refresh token; the other one is over.
    expect((await ask('GET', '/api/v1/auth/me', { token })).status).toBe(200);
    expect((await ask('GET', '/api/v1/auth/me', { token: other })).error).toBe('invalid_token');
    expect((await ask('POST', '/api/v1/auth/refresh', { body: { refreshToken } })).status).toBe(200);

    for (const path of ['login', 'login-json']) {
      expect((await login(email, {}, path)).error).toBe('mfa_required');
      expect((await login(email, { otp: '' }, path)).error).toBe('mfa_required');
      expect((await login(email, { otp: app.code(now()) }, path)).error).toBe('invalid_otp'); // it confirmed
    }
    const inside = await login(email, { otp: app.code(now(), 1) });
    expect(inside.status).toBe(200);
    expect((await login(email, { otp: app.code(now(), 1) })).error).toBe('invalid_otp');
    expect((await login(email, { otp: confirmed.body.recovery_codes[0] }, 'login-json')).status).toBe(200);
    const sessions = await server.core.sessions.list(inside.body.id!);
    expect(sessions.filter(({ amr }) => String(amr) === 'pwd,otp,mfa')).toHaveLength(2);
  });

  it('says mfa_required only to who knows the password', async () => {
    const { account } = await enrol(server, now());
    expect((await login(account.email, { password: 'a wrong password' })).error).toBe('invalid_credentials');
    const answer = await login(account.email);
    expect([answer.status, answer.error]).toEqual([401, 'mfa_required']);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(JSON.stringify(answer.body)).not.toContain('eyJ'); // no ticket: the page has one, programs send both
  });

  it('gives fresh recovery codes, and is removed', async () => {
    const { account, recoveryCodes } = await enrol(server, now());
    const token = (await login(account.email, { otp: recoveryCodes[0] })).body.access_token!;
    const other = (await login(account.email, { otp: recoveryCodes[1] })).body.access_token!;
    const fresh = (await ask('POST', `${MFA}/recovery-codes`, { token })).body.recovery_codes;
    expect((await login(account.email, { otp: recoveryCodes[2] })).error).toBe('invalid_otp');
    expect((await login(account.email, { otp: fresh[0] })).status).toBe(200);
    const removed = await ask('DELETE', `${MFA}/totp`, { token });
    expect([removed.status, removed.body.ok]).toEqual([200, true]);
    expect((await ask('DELETE', `${MFA}/totp`, { token })).error).toBe('not_found');
    expect((await ask('POST', `${MFA}/recovery-codes`, { token })).error).toBe('not_found');
    expect((await ask('GET', '/api/v1/auth/me', { token: other })).error).toBe('invalid_token');
    expect((await login(account.email)).status).toBe(200);
  });

  it('is not touched by a login that proved itself long ago, until it proves itself again', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const token = (await login(account.email, { otp: recoveryCodes[0] })).body.access_token!;
    const changes = [
      ['POST', `${MFA}/totp`],
      ['POST', `${MFA}/totp/confirm`],
      ['POST', `${MFA}/recovery-codes`],
      ['DELETE', `${MFA}/totp`],
    ] as const;
    aheadMs = 10 * MINUTE_MS + 1000;
    for (const [method, path] of changes) {
      const answer = await ask(method, path, { token, body: { otp: app.code(now()) } });
      expect([answer.status, answer.error], path).toEqual([401, 'reauth_required']);
    }
    expect(await server.core.mfa.state(account.id)).toEqual({ enrolled: true, recoveryCodesLeft: 9 });
    const reauth = (body: object) => ask('POST', '/api/v1/auth/reauth', { token, body });
    expect((await reauth({})).error).toBe('invalid_request');
    expect((await reauth({ password: 'a wrong password' })).error).toBe('invalid_credentials');
    expect((await reauth({ otp: app.wrongCode(now()) })).error).toBe('invalid_otp');
    expect((await ask('DELETE', `${MFA}/totp`, { token })).error).toBe('reauth_required');
    const proved = await reauth({ otp: app.code(now()) });
    expect([proved.status, proved.body.ok]).toEqual([200, true]);
    expect((await ask('POST', `${MFA}/recovery-codes`, { token })).status).toBe(200);
    aheadMs += 10 * MINUTE_MS + 1000;
    expect((await ask('DELETE', `${MFA}/totp`, { token })).error).toBe('reauth_required');
    expect((await reauth({ password: PASSWORD })).status).toBe(200);
    expect((await ask('DELETE', `${MFA}/totp`, { token })).status).toBe(200);
    expect((await ask('POST', '/api/v1/auth/reauth', { body: { password: PASSWORD } })).error).toBe('no_auth');
  });

  it('slows down who guesses, in the login and in the renewed proof alike', async () => {
    const { account, app, recoveryCodes } = await enrol(server, now());
    const token = (await login(account.email, { otp: recoveryCodes[0] })).body.access_token!;
    const otp = app.wrongCode(now());
    const answers: (string | undefined)[] = [];
    for (let n = 0; n < 3; n += 1) {
      answers.push((await login(account.email, { otp })).error);
      answers.push((await ask('POST', '/api/v1/auth/reauth', { token, body: { otp } })).error);
    }
    expect(answers).toEqual([...Array(5).fill('invalid_otp'), 'auth_rate_limited']);
    const refused = await login(account.email, { otp: app.code(now(), 1) });
    expect([refused.status, refused.error]).toEqual([429, 'auth_rate_limited']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});
