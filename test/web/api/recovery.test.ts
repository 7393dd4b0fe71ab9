import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { suspendAccount } from '../../support/accounts.js';
import { createSignedInAccount, getMe, logIn, refreshSession } from '../../support/api.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const NEW_PASSWORD = 'nine unrelated lanterns';

describe.each(stores)('account recovery over the JSON API on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const post = (path: string, body: object, token?: string) =>
    callApi(server, 'POST', `/auth/${path}`, { body, ...(token && { token }) });

  it('mails a link that resets the password once and revokes every session', async () => {
    const { email, access_token, refresh_token } = await createSignedInAccount(server);
    expect((await post('forgot-password', { email })).status).toBe(202);
    const token = tokenIn(await mailTo(server, email, /Choose/));
    const weak = await post('reset-password', { token, new_password: 'short' });
    expect([weak.status, weak.json.error]).toEqual([400, 'invalid_request']);
    expect(weak.json.fields).toEqual({ new_password: expect.any(String) });
    const reset = await post('reset-password', { token, new_password: NEW_PASSWORD });
    expect([reset.status, reset.json.ok]).toEqual([200, true]);
    const second = await post('reset-password', { token, new_password: `${NEW_PASSWORD}!` });
    expect([second.status, second.json.error]).toEqual([401, 'invalid_token']);
    expect((await getMe(server, access_token)).status).toBe(401);
    expect((await refreshSession(server, refresh_token)).status).toBe(401);
    await logIn(server, email, NEW_PASSWORD);
  });

  it('responds the same for known, unknown, invalid and suspended addresses', async () => {
    const [known, suspended] = [await server.account(), await server.account()];
    await suspendAccount(server, suspended.id);
    const responses = [];
    for (const email of [known.email, suspended.email, 'unknown@example.com', 'not an address', ''])
      responses.push(await post('forgot-password', { email }));
    for (const { status, text, headers } of responses) {
      expect([status, text]).toEqual([202, responses[0]!.text]);
      expect(Object.keys(headers).sort()).toEqual(Object.keys(responses[0]!.headers).sort());
    }
    expect(await mailsTo(server, known.email)).toHaveLength(1);
    expect(await mailsTo(server, suspended.email)).toEqual([]);
  });

  it('verifies the address of a new account once', async () => {
    const email = 'newcomer@example.com';
    const { json } = await post('register', { email, password: PASSWORD, full_name: 'Nia' });
    const token = tokenIn(await mailTo(server, email, /Confirm/));
    expect((await post('verify-email', { token })).json.error).toBe('reauth_required');
    expect((await post('verify-email', { token, password: 'a wrong one' })).json.error).toBe('invalid_credentials');
    const other = await createSignedInAccount(server);
    expect((await post('verify-email', { token }, other.access_token)).json.error).toBe('reauth_required');
    expect((await post('verify-email', { token }, json.access_token as string)).status).toBe(200);
    expect((await post('verify-email', { token, password: PASSWORD })).json.error).toBe('invalid_token');
    expect((await getMe(server, json.access_token as string)).json.email_verified).toBe(true);
  });

  it('verifies the address with the password, without a session', async () => {
    const email = 'newcomer2@example.com';
    await post('register', { email, password: PASSWORD, full_name: 'Nia' });
    const token = tokenIn(await mailTo(server, email, /Confirm/));
    expect((await post('verify-email', { token, password: PASSWORD })).status).toBe(200);
    expect(await server.core.accounts.findByEmail(email)).toMatchObject({ emailVerified: true });
  });

  it('changes the password and revokes the other sessions if the current password is right', async () => {
    const current = await createSignedInAccount(server);
    const other = await logIn(server, current.email);
    const wrong = { current_password: 'a wrong password', new_password: NEW_PASSWORD };
    const rejected = await post('change-password', wrong, current.access_token);
    expect([rejected.status, rejected.json.error]).toEqual([401, 'invalid_credentials']);
    expect((await getMe(server, other.access_token)).status).toBe(200);
    const right = { current_password: PASSWORD, new_password: NEW_PASSWORD };
    expect((await post('change-password', right, current.access_token)).status).toBe(200);
    expect((await getMe(server, current.access_token)).status).toBe(200);
    expect((await refreshSession(server, current.refresh_token)).status).toBe(200);
    expect((await getMe(server, other.access_token)).status).toBe(401);
    expect((await refreshSession(server, other.refresh_token)).status).toBe(401);
    await logIn(server, current.email, NEW_PASSWORD);
    expect((await post('change-password', right)).json.error).toBe('no_auth');
  });

  it('notifies the user of a sign-in by another program only', async () => {
    const { email } = await createSignedInAccount(server);
    await logIn(server, email);
    const notifications = async () =>
      (await mailsTo(server, email)).filter(({ subject }) => /New sign-in/.test(subject));
    expect(await notifications()).toEqual([]);
    const headers = { 'user-agent': 'another/1.0' };
    await callApi(server, 'POST', '/auth/login-json', { body: { email, password: PASSWORD }, headers });
    expect(await notifications()).toHaveLength(1);
  });
});
