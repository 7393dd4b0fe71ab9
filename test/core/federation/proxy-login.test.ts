// Proxy login against a second server as the upstream provider.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changeAccount, createAccount, suspendAccount } from '../../support/accounts.js';
import { getMe } from '../../support/api.js';
import { enrol } from '../../support/authenticator.js';
import { bodyOf, type HttpServer, openHttpServer } from '../../support/http-server.js';
import { callApi, type Target } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

let addresses = 0;
const nextAddress = () => `10.0.${(addresses >> 8) & 255}.${addresses++ & 255}`;

/** Signs in with a password, each time from another address. */
async function logIn(
  server: Target,
  body: object,
  { path = 'proxy-login', address = nextAddress(), headers = {} } = {},
) {
  const { json, ...response } = await callApi(server, 'POST', `/auth/${path}`, {
    body,
    headers: { 'x-forwarded-for': address, ...headers },
  });
  return { ...response, body: json as Record<string, string> & { user?: Record<string, unknown> } };
}

const openPair = async () => {
  const upstream = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  const server = await startServer({
    settings: { UPSTREAM_AUTH_URL: upstream.issuer, TRUSTED_PROXIES: '127.0.0.1', SIGNUP: 'closed' },
  });
  return { server, upstream };
};

const countRows = async ({ base: { db } }: TestServer) => ({
  accounts: await db.account.count(),
  organizations: await db.organization.count(),
  identities: await db.federatedIdentity.count(),
  sessions: await db.session.count(),
});

async function auditEventsOf(server: TestServer, accountId: string) {
  await server.core.audit.flush();
  return (await server.core.audit.list({ accountId })).reverse();
}

describe('proxy login', () => {
  let server: TestServer;
  let upstream: TestServer;
  beforeAll(async () => {
    ({ server, upstream } = await openPair());
  });
  afterAll(async () => {
    await server.close();
    await upstream.close();
  });

  const createUpstreamAccount = (options: Parameters<typeof createAccount>[1] = {}) => createAccount(upstream, options);

  it('issues our own tokens to users of the upstream, and creates the account once', async () => {
    const { id, email } = await createUpstreamAccount();
    const first = await logIn(server, { email, password: PASSWORD }, { path: 'ainative-login' });
    expect(first.status).toBe(200);
    expect(first.cookies).toEqual([]);
    const { token, access_token, refreshToken, refresh_token, token_type, user } = first.body;
    expect([token, refreshToken, token_type]).toEqual([access_token, refresh_token, 'bearer']);
    expect(user).toMatchObject({ email, name: 'Jane Developer', org_role: 'owner', companyId: expect.any(String) });
    expect(user!.id).not.toBe(id);

    expect((await getMe(server, token!)).json).toMatchObject({ id: user!.id });
    const second = await logIn(server, { email: email.toUpperCase(), password: PASSWORD });
    expect(second.body.user).toEqual(user);
    const identity = { issuer: upstream.issuer, subject: id, email };
    expect(await server.base.db.federatedIdentity.findMany({ where: { subject: id } })).toMatchObject([identity]);
  });

  it('imports only name and e-mail address, and the address as unverified', async () => {
    const { email } = await createUpstreamAccount({ role: 'admin', verified: true });
    const { body } = await logIn(server, { email, password: PASSWORD });
    expect(body.user).toMatchObject({ role: 'viewer', plan: 'free', email_verified: false });
    const account = await server.base.db.account.findUniqueOrThrow({ where: { email } });
    expect(account).toMatchObject({ passwordHash: null, passwordChangedAt: null });
    expect((await logIn(server, { email, password: PASSWORD }, { path: 'login-json' })).body.error).toBe(
      'invalid_credentials',
    );
    expect((await logIn(server, { email, password: '' }, { path: 'login-json' })).status).toBe(401);
  });

  it('revokes the session at the upstream', async () => {
    const { id: accountId, email } = await createUpstreamAccount();
    expect((await logIn(server, { email, password: PASSWORD })).status).toBe(200);
    await expect
      .poll(() => upstream.base.db.session.findMany({ where: { accountId }, select: { endReason: true } }))
      .toEqual([{ endReason: 'signed_out' }]);
    expect(await upstream.base.db.grant.count({ where: { accountId } })).toBe(0);
  });

  it('audits the upstream issuer and the new account', async () => {
    const { id: subject, email } = await createUpstreamAccount();
    const address = nextAddress();
    const { body } = await logIn(server, { email, password: PASSWORD }, { address });
    const events = await auditEventsOf(server, body.id!);
    expect(events.map(({ action }) => action).sort()).toEqual([
      'account.created',
      'identity.linked',
      'sign_in.succeeded',
    ]);
    const detailOf = (name: string) => events.find(({ action }) => action === name)!.detail;
    expect(detailOf('identity.linked')).toEqual({ issuer: upstream.issuer, subject });
    expect(detailOf('sign_in.succeeded')).toEqual({ amr: ['pwd'], from: upstream.issuer });
    expect(events.map((event) => event.address)).toEqual([address, address, address]);
    const upstreamEvents = await auditEventsOf(upstream, subject);
    const upstreamSignIn = upstreamEvents.find(({ action }) => action === 'sign_in.succeeded')!;
    expect(upstreamSignIn.address, 'the address of the user, not of our server').toBe(address);
  });

  it('returns the same error for a wrong password and an unknown address', async () => {
    const { email } = await createUpstreamAccount();
    const known = (await createUpstreamAccount()).email;
    await logIn(server, { email: known, password: PASSWORD });
    const before = await countRows(server);
    const responses = [];
    for (const address of [email, known, 'unknown@example.com', 'no e-mail address', '']) {
      const { status, body } = await logIn(server, { email: address, password: 'a wrong password' });
      responses.push([status, { ...body, request_id: '' }]);
    }
    expect(responses[0]).toMatchObject([401, { error: 'invalid_credentials' }]);
    for (const response of responses) expect(response).toEqual(responses[0]);
    expect(await countRows(server)).toEqual(before);
    const account = await server.base.db.account.findUniqueOrThrow({ where: { email: known } });
    const failed = (await auditEventsOf(server, account.id)).filter(({ action }) => action === 'sign_in.failed');
    expect(failed.map(({ detail }) => detail)).toEqual([{ reason: 'invalid_credentials' }]);
  });

  it('keeps the local address of an account when it changes upstream', async () => {
    const { id, email } = await createUpstreamAccount();
    const before = (await logIn(server, { email, password: PASSWORD })).body.user;
    const other = await server.account('taken@example.com'); // the new address, which another local account has
    await changeAccount(upstream, id, { email: other.email, name: 'Another Name' });
    expect((await logIn(server, { email: other.email, password: PASSWORD })).body.user).toEqual(before);
    expect((await server.base.db.federatedIdentity.findFirstOrThrow({ where: { subject: id } })).email).toBe(
      other.email,
    );
  });

  it('does not give access to an account with the same address', async () => {
    const { email } = await createUpstreamAccount({ verified: true });
    const local = await createAccount(server, { email, verified: true });
    const before = await countRows(server);
    const { status, body } = await logIn(server, { email, password: PASSWORD });
    expect([status, body.error, body.token]).toEqual([409, 'link_required', undefined]);
    expect(await countRows(server)).toEqual(before);
    await server.core.identities.linkByAdmin(local, {
      issuer: upstream.issuer,
      subject: (await upstream.core.accounts.findByEmail(email))!.id,
    });
    expect((await logIn(server, { email, password: PASSWORD })).body.id).toBe(local.id);
  });

  it('rejects users who are suspended at either server', async () => {
    const suspended = await createUpstreamAccount({ status: 'suspended' });
    const response = await logIn(server, { email: suspended.email, password: PASSWORD });
    expect([response.status, response.body.error]).toEqual([403, 'account_suspended']);
    expect(await server.core.accounts.findByEmail(suspended.email)).toBeNull();
    const { email } = await createUpstreamAccount();
    const { id } = (await logIn(server, { email, password: PASSWORD })).body;
    await suspendAccount(server, id!);
    const again = await logIn(server, { email, password: PASSWORD });
    expect([again.status, again.body.error, again.body.token]).toEqual([403, 'account_suspended', undefined]);
  });

  it('forwards the code of a second factor to the upstream, and its result to the user', async () => {
    const account = await createUpstreamAccount();
    const { email } = account;
    const { app } = await enrol(upstream, new Date(), account);
    const attempt = async (otp?: string) => {
      const { status, body } = await logIn(server, { email, password: PASSWORD, ...(otp && { otp }) });
      return [status, body.error];
    };
    expect(await attempt()).toEqual([401, 'mfa_required']);
    expect(await attempt(app.wrongCode())).toEqual([401, 'invalid_otp']);
    expect(await server.core.accounts.findByEmail(email)).toBeNull();
    expect(await attempt(app.code(new Date(), 1))).toEqual([200, undefined]);
  });

  it('requires the local second factor', async () => {
    const { email } = await createUpstreamAccount();
    const { id } = (await logIn(server, { email, password: PASSWORD })).body;
    const local = await server.base.db.account.findUniqueOrThrow({ where: { id } });
    const { app } = await enrol(server, new Date(), local);
    expect((await logIn(server, { email, password: PASSWORD })).body.error).toBe('mfa_required');
    const wrong = await logIn(server, { email, password: PASSWORD, otp: app.wrongCode() });
    expect([wrong.body.error, wrong.body.token]).toEqual(['invalid_otp', undefined]);
    const otp = app.code(new Date(), 1);
    expect((await logIn(server, { email, password: PASSWORD, otp })).status).toBe(200);
    expect((await logIn(server, { email, password: PASSWORD, otp })).body.error, 'a code can be used once').toBe(
      'invalid_otp',
    );
    const events = (await auditEventsOf(server, id!)).filter(({ action }) => action === 'sign_in.succeeded');
    expect(events.at(-1)!.detail).toEqual({ amr: ['pwd', 'otp', 'mfa'], from: upstream.issuer });
  });

  it('limits attempts as for local passwords, and then no longer asks the upstream', async () => {
    const { id, email } = await createUpstreamAccount();
    const address = nextAddress();
    for (let n = 0; n < 10; n += 1) {
      const path = n % 2 ? 'proxy-login' : 'login-json';
      expect((await logIn(server, { email, password: 'a wrong password' }, { path, address })).status).toBe(401);
    }
    const before = (await auditEventsOf(upstream, id)).length;
    const { status, body, headers } = await logIn(server, { email, password: PASSWORD }, { address });
    expect([status, body.error]).toEqual([429, 'auth_rate_limited']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect((await auditEventsOf(upstream, id)).length).toBe(before);
    expect((await logIn(server, { email, password: PASSWORD })).status, 'from another address').toBe(200);
  });

  it('counts a wrong code as an attempt, but not a missing one', async () => {
    const { email } = await createUpstreamAccount();
    const { id } = (await logIn(server, { email, password: PASSWORD })).body;
    await enrol(server, new Date(), await server.base.db.account.findUniqueOrThrow({ where: { id } }));
    const address = nextAddress();
    const attempt = async (otp?: string) =>
      (await logIn(server, { email, password: PASSWORD, ...(otp && { otp }) }, { address })).body.error;
    for (let n = 0; n < 11; n += 1) expect(await attempt()).toBe('mfa_required');
    for (let n = 0; n < 10; n += 1) expect(await attempt('9999-9999-9999-9999-9999-9999')).toBe('invalid_otp');
    expect(await attempt()).toBe('auth_rate_limited');
  });

  it('never stores or logs passwords and tokens', async () => {
    const { email } = await createUpstreamAccount();
    const password = 'a distinctive wrong password';
    const { body } = await logIn(server, { email, password: PASSWORD });
    await logIn(server, { email, password });
    await server.core.audit.flush();
    const written = JSON.stringify([server.lines, await server.core.audit.list({}, 1000)]);
    for (const secret of [password, PASSWORD, body.token!]) expect(written).not.toContain(secret);
  });

  it.each([
    ['no password', { email: 'a@example.com' }],
    ['no e-mail address', { password: PASSWORD }],
    ['an e-mail address that is not a string', { email: 1, password: PASSWORD }],
    ['a password that is not a string', { email: 'a@example.com', password: { $ne: '' } }],
    ['a password that cannot be stored', { email: 'a@example.com', password: 'a\0' }],
    ['a code that is not a string', { email: 'a@example.com', password: PASSWORD, otp: 123456 }],
  ])('rejects %s and names the field', async (_case, input) => {
    const { status, body } = await logIn(server, input);
    expect([status, body.error]).toEqual([400, 'invalid_request']);
    expect(body.fields).toBeTruthy();
  });
});

describe('proxy login without an upstream', () => {
  it('accepts local accounts', async () => {
    const server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.1' } });
    const { id, email } = await server.account();
    const { status, body, cookies } = await logIn(server, { email, password: PASSWORD });
    expect([status, body.id, cookies]).toEqual([200, id, []]);
    expect((await logIn(server, { email, password: 'wrong' })).body.error).toBe('invalid_credentials');
    await server.close();
  });
});

describe('proxy login between two servers that are upstream of each other', () => {
  it('fails with an error and creates no account', async () => {
    const path = { UPSTREAM_LOGIN_PATH: '/api/v1/auth/proxy-login' };
    // Reserves the second server's port, because the first server starts before it.
    const forwarder = await openHttpServer(async (req, res) => {
      const { 'content-type': type = '', 'signet-hop': hop = '' } = req.headers;
      const headers = { 'content-type': type, 'signet-hop': String(hop) };
      const response = await fetch(second.origin + req.url, { method: 'POST', headers, body: await bodyOf(req) });
      res.writeHead(response.status, { 'content-type': 'application/json' }).end(await response.text());
    });
    const first = await startServer({ settings: { UPSTREAM_AUTH_URL: forwarder.origin, ...path } });
    const second: TestServer = await startServer({ settings: { UPSTREAM_AUTH_URL: first.issuer, ...path } });
    try {
      const { email } = await first.account();
      const started = performance.now();
      for (const server of [first, second]) {
        const { status, body, headers } = await logIn(server, { email, password: PASSWORD });
        expect([status, body.error]).toEqual([502, 'upstream_invalid_response']);
        expect(headers['retry-after']).toBeUndefined();
      }
      expect(performance.now() - started).toBeLessThan(4000);
      const hops = ['a', 'b', 'c', 'd', 'e'].map((name) => `https://${name}.example`).join(',');
      const long = await logIn(second, { email, password: PASSWORD }, { headers: { 'signet-hop': hops } });
      expect([long.status, long.body.error]).toEqual([502, 'upstream_invalid_response']);
      expect(await second.base.db.account.count()).toBe(0);
    } finally {
      await second.close();
      await first.close();
      await forwarder.close();
    }
  });
});

describe.each(stores)('proxy login in 20 concurrent requests on $name', (store) => {
  const email = 'jane@example.com';
  let server: TestServer;
  let upstream: HttpServer;
  beforeAll(async () => {
    upstream = await openHttpServer((_req, res) =>
      res.end(JSON.stringify({ token: 'upstream-token', id: 'usr_1', email })),
    );
    server = await startServer({
      store,
      settings: { UPSTREAM_AUTH_URL: upstream.origin, TRUSTED_PROXIES: '127.0.0.1' },
    });
  });
  afterAll(async () => {
    await server.close();
    await upstream.close();
  });

  it('creates one account with its organization and identity', async () => {
    const responses = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        await sleep(n % 4);
        return logIn(server, { email, password: PASSWORD });
      }),
    );
    expect(responses.map(({ status, body }) => body.error_description ?? status)).toEqual(Array(20).fill(200));
    expect(new Set(responses.map(({ body }) => body.id)).size).toBe(1);
    expect(await countRows(server)).toEqual({ accounts: 1, organizations: 1, identities: 1, sessions: 20 });
    expect(await server.base.db.membership.count()).toBe(1);
    const events = await server.core.audit.list({ action: { in: ['account.created', 'identity.linked'] } });
    expect(events).toHaveLength(2);
  });
});
