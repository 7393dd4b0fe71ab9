import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { getMe, refreshSession } from '../../support/api.js';
import { Authenticator, enrol, readQrCode } from '../../support/authenticator.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi, type JsonRequest, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const TOTP = '/auth/mfa/totp';
const RECOVERY_CODES = '/auth/mfa/recovery-codes';
/** Longer than an authentication counts as recent. */
const TOO_LONG_MS = 10 * 60_000 + 1000;

type StringFields = Record<string, string> & { recovery_codes: string[] };

describe.each(stores)('two-factor authentication over the JSON API on $name', (store) => {
  const { clock, later } = movableClock();
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  const call = async (method: string, path: string, request?: JsonRequest) =>
    (await callApi(server, method, path, request)) as Omit<TestResponse, 'json'> & { json: StringFields };
  const logIn = (email: string, more: object = {}, path = 'login') =>
    call('POST', `/auth/${path}`, { body: { email, password: PASSWORD, ...more } });
  const errorOf = async (response: Promise<{ json: Record<string, unknown> }>) => (await response).json.error;

  it('can be set up by secret, link or QR code, and is then required at login', async () => {
    const { email } = await server.account();
    const { access_token: token = '', refresh_token: refreshToken = '' } = (await logIn(email)).json;
    const otherToken = (await logIn(email)).json.access_token!;
    const enrollment = await call('POST', TOTP, { token });
    expect(enrollment.status).toBe(200);
    expect(enrollment.headers['cache-control']).toBe('no-store');
    expect(readQrCode(enrollment.json.qr_svg!)).toBe(enrollment.json.otpauth_uri);
    const app = Authenticator.scan(enrollment.json.otpauth_uri!);
    expect(app.secret).toBe(enrollment.json.secret);
    expect((await logIn(email)).status).toBe(200); // not required before the confirmation
    const wrong = await call('POST', `${TOTP}/confirm`, { token, body: { otp: app.wrongCode(clock.now()) } });
    expect([wrong.status, wrong.json.error]).toEqual([401, 'invalid_otp']);
    const confirmed = await call('POST', `${TOTP}/confirm`, { token, body: { otp: app.code(clock.now()) } });
    expect(confirmed.json.recovery_codes).toHaveLength(10);
    expect(await errorOf(call('POST', TOTP, { token }))).toBe('conflict');

    // The session that enrolled continues; the others are revoked.
    expect((await getMe(server, token)).status).toBe(200);
    expect(await errorOf(getMe(server, otherToken))).toBe('invalid_token');
    expect((await refreshSession(server, refreshToken)).status).toBe(200);

    for (const path of ['login', 'login-json']) {
      expect(await errorOf(logIn(email, {}, path))).toBe('mfa_required');
      expect(await errorOf(logIn(email, { otp: '' }, path))).toBe('mfa_required');
      expect(await errorOf(logIn(email, { otp: app.code(clock.now()) }, path))).toBe('invalid_otp'); // used to confirm
    }
    const loggedIn = await logIn(email, { otp: app.code(clock.now(), 1) });
    expect(loggedIn.status).toBe(200);
    expect(await errorOf(logIn(email, { otp: app.code(clock.now(), 1) }))).toBe('invalid_otp');
    expect((await logIn(email, { otp: confirmed.json.recovery_codes[0] }, 'login-json')).status).toBe(200);
    const sessions = (await server.core.sessions.list(loggedIn.json.id!, FIRST_PAGE)).items;
    expect(sessions.filter(({ amr }) => String(amr) === 'pwd,otp,mfa')).toHaveLength(2);
  });

  it('is announced with mfa_required only after the right password', async () => {
    const { account } = await enrol(server, clock.now());
    expect(await errorOf(logIn(account.email, { password: 'a wrong password' }))).toBe('invalid_credentials');
    const response = await logIn(account.email);
    expect([response.status, response.json.error]).toEqual([401, 'mfa_required']);
    expect(response.cookies).toEqual([]);
    expect(response.text).not.toContain('eyJ'); // no token: the program sends password and code together
  });

  it('allows new recovery codes, and can be removed', async () => {
    const { account, recoveryCodes } = await enrol(server, clock.now());
    const token = (await logIn(account.email, { otp: recoveryCodes[0] })).json.access_token!;
    const otherToken = (await logIn(account.email, { otp: recoveryCodes[1] })).json.access_token!;
    const newCodes = (await call('POST', RECOVERY_CODES, { token })).json.recovery_codes;
    expect(await errorOf(logIn(account.email, { otp: recoveryCodes[2] }))).toBe('invalid_otp');
    expect((await logIn(account.email, { otp: newCodes[0] })).status).toBe(200);
    const removed = await call('DELETE', TOTP, { token });
    expect([removed.status, removed.json.ok]).toEqual([200, true]);
    expect(await errorOf(call('DELETE', TOTP, { token }))).toBe('not_found');
    expect(await errorOf(call('POST', RECOVERY_CODES, { token }))).toBe('not_found');
    expect(await errorOf(getMe(server, otherToken))).toBe('invalid_token');
    expect((await logIn(account.email)).status).toBe(200);
  });

  it('cannot be changed without a recent authentication', async () => {
    const { account, app, recoveryCodes } = await enrol(server, clock.now());
    const token = (await logIn(account.email, { otp: recoveryCodes[0] })).json.access_token!;
    await later(TOO_LONG_MS, async () => {
      for (const [method, path] of [
        ['POST', TOTP],
        ['POST', `${TOTP}/confirm`],
        ['POST', RECOVERY_CODES],
        ['DELETE', TOTP],
      ] as const) {
        const response = await call(method, path, { token, body: { otp: app.code(clock.now()) } });
        expect([response.status, response.json.error], path).toEqual([401, 'reauth_required']);
      }
      expect(await server.core.mfa.status(account.id)).toEqual({ enrolled: true, recoveryCodesLeft: 9 });
    });
  });

  it('can be changed after a re-authentication by code or password', async () => {
    const { account, app, recoveryCodes } = await enrol(server, clock.now());
    const token = (await logIn(account.email, { otp: recoveryCodes[0] })).json.access_token!;
    const reauthenticate = (body: object) => call('POST', '/auth/reauth', { token, body });
    await later(TOO_LONG_MS, async () => {
      expect(await errorOf(reauthenticate({}))).toBe('invalid_request');
      expect(await errorOf(reauthenticate({ password: 'a wrong password' }))).toBe('invalid_credentials');
      expect(await errorOf(reauthenticate({ otp: app.wrongCode(clock.now()) }))).toBe('invalid_otp');
      expect(await errorOf(call('DELETE', TOTP, { token }))).toBe('reauth_required');
      const reauthenticated = await reauthenticate({ otp: app.code(clock.now()) });
      expect([reauthenticated.status, reauthenticated.json.ok]).toEqual([200, true]);
      expect((await call('POST', RECOVERY_CODES, { token })).status).toBe(200);
    });
    await later(2 * TOO_LONG_MS, async () => {
      expect(await errorOf(call('DELETE', TOTP, { token }))).toBe('reauth_required');
      expect((await reauthenticate({ password: PASSWORD })).status).toBe(200);
      expect((await call('DELETE', TOTP, { token })).status).toBe(200);
    });
    expect(await errorOf(call('POST', '/auth/reauth', { body: { password: PASSWORD } }))).toBe('no_auth');
  });

  it('limits wrong codes at login and re-authentication together', async () => {
    const { account, app, recoveryCodes } = await enrol(server, clock.now());
    const token = (await logIn(account.email, { otp: recoveryCodes[0] })).json.access_token!;
    const otp = app.wrongCode(clock.now());
    const errors: unknown[] = [];
    for (let n = 0; n < 3; n += 1) {
      errors.push(await errorOf(logIn(account.email, { otp })));
      errors.push(await errorOf(call('POST', '/auth/reauth', { token, body: { otp } })));
    }
    expect(errors).toEqual([...Array(5).fill('invalid_otp'), 'auth_rate_limited']);
    const limited = await logIn(account.email, { otp: app.code(clock.now(), 1) });
    expect([limited.status, limited.json.error]).toEqual([429, 'auth_rate_limited']);
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
  });
});
