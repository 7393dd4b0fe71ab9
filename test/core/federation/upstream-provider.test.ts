// Responses of upstream providers, valid and invalid, and our errors for them.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bodyOf, type HttpServer, openHttpServer } from '../../support/http-server.js';
import { startServer, type TestServer } from '../../support/server.js';

interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

type Answer = (res: ServerResponse, asked: Asked) => unknown;

const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Answer =>
  (res) =>
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const html: Answer = (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
const nothing: Answer = () => new Promise(() => {});
const hangUp: Answer = (res) => res.destroy();
const flood: Answer = (res) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.write(`{"token":"t","padding":"${'x'.repeat(200_000)}`);
};
const trickle: Answer = (res) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  const drops = setInterval(() => res.write(' '), 200);
  return new Promise((resolve) => res.on('close', () => resolve(clearInterval(drops))));
};
const redirect: Answer = (res) => res.writeHead(307, { location: `${stack.origin}/stolen` }).end();

const LOGIN = '/api/v1/auth/login';
const ME = '/api/v1/auth/me';
const TOKEN = 'a.token-of_theirs';
const good = { [LOGIN]: json({ token: TOKEN }), [ME]: json({ id: 'usr_1', email: 'jane@example.com' }) };

let stack: HttpServer;
let server: TestServer;
let answers: Record<string, Answer>;
const asked: Asked[] = [];

beforeAll(async () => {
  stack = await openHttpServer(async (req, res) => {
    const { method = '', url = '', headers } = req;
    const question = { method, path: url, headers, body: await bodyOf(req) };
    asked.push(question);
    await (answers[url] ?? json({ error: 'not_found' }, 404))(res, question);
  });
  server = await startServer({
    settings: { UPSTREAM_AUTH_URL: stack.origin, UPSTREAM_LOGIN_PATH: LOGIN, TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterEach(async () => {
  await server.core.waitUntilIdle();
  asked.length = 0;
});
afterAll(async () => {
  await stack.close();
  await server.close();
});

let people = 0;
async function logIn(body: object = {}, at: Pick<TestServer, 'origin'> = server) {
  people += 1;
  const response = await fetch(`${at.origin}/api/v1/auth/ainative-login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': `10.1.${people >> 8}.${people & 255}` },
    body: JSON.stringify({ email: `person${people}@example.com`, password: 'a password', ...body }),
  });
  const answer = (await response.json()) as { error?: string; token?: string; user?: Record<string, unknown> };
  return { status: response.status, retryAfter: response.headers.get('retry-after'), ...answer };
}

describe('an upstream provider', () => {
  it('receives e-mail address and password by both names, and the code', async () => {
    answers = good;
    await logIn({ email: 'jane@example.com', otp: '123456' });
    const [login, profile] = asked;
    expect(login).toMatchObject({ method: 'POST', path: LOGIN });
    expect(JSON.parse(login!.body)).toEqual({
      username: 'jane@example.com',
      email: 'jane@example.com',
      password: 'a password',
      otp: '123456',
    });
    expect(login!.headers).toMatchObject({ 'signet-hop': server.issuer, 'x-forwarded-for': `10.1.0.${people}` });
    expect(profile).toMatchObject({ method: 'GET', path: ME, headers: { authorization: `Bearer ${TOKEN}` } });
    expect(profile!.headers.cookie).toBeUndefined();
  });

  it('gets its token revoked even if the sign-in fails', async () => {
    for (const answer of [good[ME]!, html]) {
      answers = { ...good, [ME]: answer };
      await logIn();
      await server.core.waitUntilIdle();
      expect(asked.at(-1)).toMatchObject({
        method: 'POST',
        path: '/api/v1/auth/logout',
        headers: { authorization: `Bearer ${TOKEN}` },
      });
    }
    answers = { ...good, '/api/v1/auth/logout': hangUp };
    expect((await logIn()).status, 'whatever it makes of that').toBe(200);
  });

  it.each<[string, unknown, unknown, object]>([
    ['token, and an id', { token: TOKEN }, { id: 'usr_2', email: 'b@example.com', name: 'B' }, { name: 'B' }],
    ['access_token, and a number', { access_token: TOKEN }, { id: 3, email: 'c@example.com' }, { name: null }],
    ['both, and sub', { token: TOKEN, access_token: 'x' }, { sub: 'usr_4', email: 'd@example.com' }, {}],
    [
      'its user inside',
      { token: TOKEN },
      { user: { id: 'usr_5', email: 'e@example.com', full_name: 'E F' } },
      { name: 'E F' },
    ],
    ['an address in capitals', { token: TOKEN }, { id: 'usr_6', email: ' F@Example.com' }, { email: 'f@example.com' }],
    [
      'a name that cannot be used',
      { token: TOKEN },
      { id: 'usr_7', email: 'g@example.com', name: 'x\u0000' },
      { name: null },
    ],
    [
      'an invalid name',
      { token: TOKEN },
      { id: 'usr_8', email: 'h@example.com', name: { first: 'H' } },
      { name: null },
    ],
    [
      'rights of its own',
      { token: TOKEN, role: 'admin' },
      { id: 'usr_9', email: 'i@example.com', role: 'admin', plan: 'gold', email_verified: true, org_role: 'owner' },
      { role: 'viewer', plan: 'free', email_verified: false },
    ],
  ])('can answer with %s', async (_what, login, profile, user) => {
    answers = { [LOGIN]: json(login), [ME]: json(profile) };
    const answer = await logIn();
    expect(answer).toMatchObject({ status: 200, user });
    expect(answer.token).not.toBe(TOKEN);
  });

  it('has one user for each id, string or number', async () => {
    answers = { ...good, [ME]: json({ id: 77, email: 'n@example.com' }) };
    const first = await logIn();
    answers = { ...good, [ME]: json({ id: '77', email: 'n@example.com' }) };
    expect((await logIn()).user!.id).toBe(first.user!.id);
  });

  it.each<[string, Record<string, Answer>, number, string]>([
    ['rejects the password', { [LOGIN]: json({ error: 'whatever' }, 401) }, 401, 'invalid_credentials'],
    ['rejects the password without a body', { [LOGIN]: (res) => res.writeHead(401).end() }, 401, 'invalid_credentials'],
    ['asks for a code', { [LOGIN]: json({ error: 'mfa_required' }, 401) }, 401, 'mfa_required'],
    ['rejects the code', { [LOGIN]: json({ error: 'invalid_otp' }, 401) }, 401, 'invalid_otp'],
    ['rejects the account', { [LOGIN]: json({ error: 'account_suspended' }, 403) }, 403, 'account_suspended'],
    [
      'is a page that says no',
      { [LOGIN]: (res) => res.writeHead(403).end('<html>') },
      502,
      'upstream_invalid_response',
    ],
    ['fails', { [LOGIN]: json({ error: 'server_error' }, 500) }, 503, 'upstream_unavailable'],
    ['fails later', { [ME]: json({}, 503) }, 503, 'upstream_unavailable'],
    ['hangs up', { [LOGIN]: hangUp }, 503, 'upstream_unavailable'],
    ['hangs up later', { [ME]: hangUp }, 503, 'upstream_unavailable'],
    ['is a page', { [LOGIN]: html }, 502, 'upstream_invalid_response'],
    ['is a page later', { [ME]: html }, 502, 'upstream_invalid_response'],
    ['is not there', { [LOGIN]: json({ token: TOKEN }, 404) }, 502, 'upstream_invalid_response'],
    ['does not understand', { [LOGIN]: json({ token: TOKEN }, 422) }, 502, 'upstream_invalid_response'],
    ['redirects', { [LOGIN]: redirect }, 502, 'upstream_invalid_response'],
    ['redirects later', { [ME]: redirect }, 502, 'upstream_invalid_response'],
    ['answers without end', { [LOGIN]: flood }, 502, 'upstream_invalid_response'],
    ['answers without end later', { [ME]: flood }, 502, 'upstream_invalid_response'],
    ['gives no token', { [LOGIN]: json({ ok: true }) }, 502, 'upstream_invalid_response'],
    ['gives an empty token', { [LOGIN]: json({ token: '' }) }, 502, 'upstream_invalid_response'],
    ['returns a token that is not a string', { [LOGIN]: json({ token: { a: 1 } }) }, 502, 'upstream_invalid_response'],
    ['gives a token with a header in it', { [LOGIN]: json({ token: 'a\r\nx: y' }) }, 502, 'upstream_invalid_response'],
    ['gives nothing', { [LOGIN]: json(null) }, 502, 'upstream_invalid_response'],
    ['gives a list', { [LOGIN]: json([{ token: TOKEN }]) }, 502, 'upstream_invalid_response'],
    ['refuses its own token', { [ME]: json({ error: 'x' }, 401) }, 502, 'upstream_invalid_response'],
    ['says nothing of whom', { [ME]: json(null) }, 502, 'upstream_invalid_response'],
    ['gives no id', { [ME]: json({ email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['gives an empty id', { [ME]: json({ id: '', email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['gives a list of ids', { [ME]: json({ id: ['1'], email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['gives yes as an id', { [ME]: json({ id: true, email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['gives half an id', { [ME]: json({ id: 1.5, email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    [
      'gives an endless id',
      { [ME]: json({ id: 'x'.repeat(300), email: 'z@example.com' }) },
      502,
      'upstream_invalid_response',
    ],
    ['gives an id with a NUL', { [ME]: json({ id: 'x\0', email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['gives no address', { [ME]: json({ id: 'usr_z' }) }, 502, 'upstream_invalid_response'],
    [
      'returns an invalid e-mail address',
      { [ME]: json({ id: 'usr_z', email: 'z' }) },
      502,
      'upstream_invalid_response',
    ],
    [
      'returns an e-mail address that is not a string',
      { [ME]: json({ id: 'usr_z', email: 1 }) },
      502,
      'upstream_invalid_response',
    ],
  ])('that %s leads to our error and no session', async (_what, misbehave, status, error) => {
    answers = { ...good, ...misbehave };
    const before = await server.base.db.account.count();
    const answer = await logIn();
    expect(answer).toMatchObject({ status, error });
    expect(answer.token).toBeUndefined();
    expect(answer.retryAfter !== null).toBe(status === 503);
    expect(await server.base.db.account.count()).toBe(before);
    expect(asked.map(({ path }) => path)).not.toContain('/stolen');
  });

  it.each<[string, Record<string, Answer>]>([
    ['does not answer', { [LOGIN]: nothing }],
    ['answers by drops, in time for each', { [LOGIN]: trickle }],
    ['does not answer later', { [ME]: nothing }],
  ])('that %s is cancelled after five seconds', { timeout: 12_000 }, async (_what, misbehave) => {
    answers = { ...good, ...misbehave };
    const started = performance.now();
    expect(await logIn()).toMatchObject({ status: 503, error: 'upstream_unavailable', retryAfter: '5' });
    const elapsed = performance.now() - started;
    expect(elapsed).toBeGreaterThan(4500);
    expect(elapsed).toBeLessThan(8000);
  });

  it.each([
    ['7', 7],
    ['99999999', 3600],
    ['0', 1],
    ['soon', 60],
    [undefined, 60],
    ['at a date', 100],
    ['Mon, 01 Jan 2001 00:00:00 GMT', 1],
  ])('with Retry-After %s leads to a bounded waiting time', async (said, expected) => {
    const date = new Date(Date.now() + 100_000).toUTCString();
    const header: Record<string, string> =
      said === undefined ? {} : { 'retry-after': said === 'at a date' ? date : said };
    answers = {
      ...good,
      [LOGIN]: json({ error: 'auth_rate_limited' }, 429, header),
    };
    const { status, error, retryAfter } = await logIn();
    expect([status, error]).toEqual([429, 'auth_rate_limited']);
    expect(Math.abs(Number(retryAfter) - expected)).toBeLessThanOrEqual(10);
    expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(Number(retryAfter)).toBeLessThanOrEqual(3600);
  });

  it.each([
    ['hangs up', hangUp, 503],
    ['fails', json({ error: 'server_error' }, 500), 503],
    ['talks nonsense', html, 502],
    ['redirects', redirect, 502],
    ['asks for a code', json({ error: 'mfa_required' }, 401), 401],
    ['has no time', json({ error: 'auth_rate_limited' }, 429), 429],
  ])('that %s does not use up attempts', async (_does, answer, status) => {
    const sent = { email: 'patient@example.com', password: 'a password' };
    const ask = () =>
      fetch(`${server.origin}/api/v1/auth/proxy-login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': '10.7.7.7' },
        body: JSON.stringify(sent),
      }).then((response) => response.status);
    answers = { ...good, [LOGIN]: answer };
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) statuses.push(await ask());
    expect(statuses).toEqual(Array(11).fill(status));
    // Earlier wrong passwords still count.
    answers = { ...good, [LOGIN]: json({ error: 'invalid_credentials' }, 401) };
    for (let n = 0; n < 9; n += 1) expect(await ask()).toBe(401);
    answers = { ...good, [LOGIN]: answer };
    expect(await ask()).toBe(status);
    answers = { ...good, [ME]: json({ id: 'patient', email: sent.email }) };
    expect(await ask()).toBe(200);
  });

  it('gets the same request for known and unknown addresses, in the same time', async () => {
    answers = good;
    const { user } = await logIn({ email: 'jane@example.com' });
    const known = String(user!.email);
    answers = { ...good, [LOGIN]: json({ error: 'invalid_credentials' }, 401) };
    await server.core.waitUntilIdle();
    asked.length = 0;
    // Compares the fastest of each, because other load only adds time. A machine that is busy
    // throughout gets another attempt.
    const quickest = { known: Number.POSITIVE_INFINITY, unknown: Number.POSITIVE_INFINITY };
    const isSame = ({ known, unknown }: typeof quickest) =>
      Math.abs(known - unknown) < Math.max(5, 0.3 * Math.max(known, unknown));
    for (let n = 0; n < 40 || (n < 90 && !isSame(quickest)); n += 1) {
      for (const [kind, email] of [['known', known] as const, ['unknown', `unknown${n}@example.com`] as const]) {
        const started = performance.now();
        expect((await logIn({ email })).error).toBe('invalid_credentials');
        expect(asked.splice(0).map(({ path }) => path)).toEqual([LOGIN]);
        quickest[kind] = Math.min(quickest[kind], performance.now() - started);
      }
    }
    expect(quickest).toSatisfy(isSame);
  });
});

describe('an upstream provider that cannot be reached', () => {
  /** A port without a listener. */
  async function freePort(): Promise<number> {
    const httpServer = createServer();
    await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve));
    const { port } = httpServer.address() as AddressInfo;
    await new Promise((resolve) => httpServer.close(resolve));
    return port;
  }

  it('is unavailable without a listener or TLS, and no proxy of the environment is used', async () => {
    const proxied: string[] = [];
    const proxy = await openHttpServer((req, res) => {
      proxied.push(req.url!);
      res.end();
    });
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) process.env[name] = proxy.origin;
    try {
      const port = await freePort();
      for (const url of [`http://localhost:${port}`, stack.origin.replace('http:', 'https:')]) {
        const alone = await startServer({ settings: { UPSTREAM_AUTH_URL: url } });
        expect(await logIn({}, alone)).toMatchObject({ status: 503, error: 'upstream_unavailable' });
        expect(await alone.base.db.account.count()).toBe(0);
        await alone.close();
      }
      expect(proxied).toEqual([]);
    } finally {
      for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) delete process.env[name];
      await proxy.close();
    }
  });
});
