// Forgotten, changed and verified, as programs ask for it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSignedInAccount, getMe, logIn, refreshSession } from '../../support/api.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const NEXT = 'nine unrelated lanterns';

describe.each(stores)('the JSON API on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    const generous = { RATE_LIMIT_ANONYMOUS: '1000', RATE_LIMIT_HUMAN: '1000', RATE_LIMIT_DEFAULT: '1000' };
    server = await startServer({ store, settings: generous });
  });
  afterAll(() => server.close());

  const post = (what: string, body: object, token?: string) =>
    callApi(server, 'POST', `/auth/${what}`, { body, ...(token && { token }) });

  it('mails a link, sets the password by it once, and ends every login', async () => {
    const { email, access_token, refresh_token } = await createSignedInAccount(server);
    expect((await post('forgot-password', { email })).status).toBe(202);
    const token = tokenIn(await mailTo(server, email, /Choose/));
    const weak = await post('reset-password', { token, new_password: 'short' });
    expect([weak.status, weak.json.error]).toEqual([400, 'invalid_request']);
    expect(weak.json.fields).toEqual({ new_password: expect.any(String) });
    const set = await post('reset-password', { token, new_password: NEXT });
    expect([set.status, set.json.ok]).toEqual([200, true]);
    const again = await post('reset-password', { token, new_password: `${NEXT}!` });
    expect([again.status, again.json.error]).toEqual([401, 'invalid_token']);
    expect((await getMe(server, access_token)).status).toBe(401);
    expect((await refreshSession(server, refresh_token)).status).toBe(401);
    await logIn(server, email, NEXT);
  });

  it('says the same of an address that nobody has, that is none, or whose account is suspended', async () => {
    const [known, suspended] = [await server.account(), await server.account()];
    await server.base.db.account.update({ where: { id: suspended.id }, data: { status: 'suspended' } });
    const answers = [];
    for (const email of [known.email, suspended.email, 'nobody@example.com', 'not an address', ''])
      answers.push(await post('forgot-password', { email }));
    for (const { status, text, headers } of answers) {
      expect([status, text]).toEqual([202, answers[0]!.text]);
      expect(Object.keys(headers).sort()).toEqual(Object.keys(answers[0]!.headers).sort());
    }
    expect(await mailsTo(server, known.email)).toHaveLength(1);
    expect(await mailsTo(server, suspended.email)).toEqual([]);
  });

  it('verifies an address that was registered', async () => {
    const email = 'newcomer@example.com';
    const { json } = await post('register', { email, password: PASSWORD, full_name: 'Nia' });
    const token = tokenIn(await mailTo(server, email, /Confirm/));
    expect((await post('verify-email', { token })).status).toBe(200);
    expect((await post('verify-email', { token })).json.error).toBe('invalid_token');
    expect((await getMe(server, json.access_token as string)).json.email_verified).toBe(true);
  });

  it('changes a password for who knows it, and ends every other login', async () => {
    const here = await createSignedInAccount(server);
    const otherBrowser = await logIn(server, here.email);
    const wrong = { current_password: 'a wrong password', new_password: NEXT };
    const refused = await post('change-password', wrong, here.access_token);
    expect([refused.status, refused.json.error]).toEqual([401, 'invalid_credentials']);
    expect((await getMe(server, otherBrowser.access_token)).status).toBe(200);
    const right = { current_password: PASSWORD, new_password: NEXT };
    expect((await post('change-password', right, here.access_token)).status).toBe(200);
    expect((await getMe(server, here.access_token)).status).toBe(200);
    expect((await refreshSession(server, here.refresh_token)).status).toBe(200);
    expect((await getMe(server, otherBrowser.access_token)).status).toBe(401);
    expect((await refreshSession(server, otherBrowser.refresh_token)).status).toBe(401);
    await logIn(server, here.email, NEXT);
    expect((await post('change-password', right)).json.error).toBe('no_auth');
  });

  it('tells of a program that comes from elsewhere or under another name', async () => {
    const { email } = await createSignedInAccount(server);
    await logIn(server, email); // the same program from the same place
    const notices = async () => (await mailsTo(server, email)).filter(({ subject }) => /New sign-in/.test(subject));
    expect(await notices()).toEqual([]);
    const headers = { 'user-agent': 'another/1.0' };
    await callApi(server, 'POST', '/auth/login-json', { body: { email, password: PASSWORD }, headers });
    expect(await notices()).toHaveLength(1);
  });
});
