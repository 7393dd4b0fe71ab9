// Valid and invalid responses of upstream providers, and our errors for them.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bodyOf, type HttpServer, openHttpServer } from '../../support/http-server.js';
import { callApi, type Target } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

interface UpstreamRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}

type Handler = (res: ServerResponse, request: UpstreamRequest) => unknown;

const json =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Handler =>
  (res) =>
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const html: Handler = (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
const hang: Handler = () => new Promise(() => {});
const closeConnection: Handler = (res) => res.destroy();
const flood: Handler = (res) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.write(`{"token":"t","padding":"${'x'.repeat(200_000)}`);
};
const trickle: Handler = (res) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  const interval = setInterval(() => res.write(' '), 200);
  return new Promise((resolve) => res.on('close', () => resolve(clearInterval(interval))));
};
const redirect: Handler = (res) => res.writeHead(307, { location: `${upstream.origin}/stolen` }).end();

const LOGIN = '/api/v1/auth/login';
const ME = '/api/v1/auth/me';
const TOKEN = 'an.upstream-to_ken';
const valid = { [LOGIN]: json({ token: TOKEN }), [ME]: json({ id: 'usr_1', email: 'jane@example.com' }) };

let upstream: HttpServer;
let server: TestServer;
let handlers: Record<string, Handler>;
const requests: UpstreamRequest[] = [];

beforeAll(async () => {
  upstream = await openHttpServer(async (req, res) => {
    const { method = '', url = '', headers } = req;
    const request = { method, path: url, headers, body: await bodyOf(req) };
    requests.push(request);
    await (handlers[url] ?? json({ error: 'not_found' }, 404))(res, request);
  });
  server = await startServer({
    settings: { UPSTREAM_AUTH_URL: upstream.origin, UPSTREAM_LOGIN_PATH: LOGIN, TRUSTED_PROXIES: '127.0.0.1' },
  });
});
afterEach(async () => {
  await server.core.waitUntilIdle();
  requests.length = 0;
});
afterAll(async () => {
  await upstream.close();
  await server.close();
});

let logins = 0;
/** Signs in with another address and e-mail address each time. */
async function logIn(body: object = {}, at: Target = server) {
  logins += 1;
  const { status, headers, json } = await callApi(at, 'POST', '/auth/ainative-login', {
    headers: { 'x-forwarded-for': `10.1.${logins >> 8}.${logins & 255}` },
    body: { email: `user${logins}@example.com`, password: 'a password', ...body },
  });
  const result = json as { error?: string; token?: string; user?: Record<string, unknown> };
  return { status, retryAfter: headers['retry-after'], ...result };
}

describe('an upstream provider', () => {
  it('receives the e-mail address under both names, the password and the code', async () => {
    handlers = valid;
    await logIn({ email: 'jane@example.com', otp: '123456' });
    const [login, profile] = requests;
    expect(login).toMatchObject({ method: 'POST', path: LOGIN });
    expect(JSON.parse(login!.body)).toEqual({
      username: 'jane@example.com',
      email: 'jane@example.com',
      password: 'a password',
      otp: '123456',
    });
    expect(login!.headers).toMatchObject({ 'signet-hop': server.issuer, 'x-forwarded-for': `10.1.0.${logins}` });
    expect(profile).toMatchObject({ method: 'GET', path: ME, headers: { authorization: `Bearer ${TOKEN}` } });
    expect(profile!.headers.cookie).toBeUndefined();
  });

  it('receives a revocation of its token even if the sign-in fails', async () => {
    for (const profile of [valid[ME]!, html]) {
      handlers = { ...valid, [ME]: profile };
      await logIn();
      await server.core.waitUntilIdle();
      expect(requests.at(-1)).toMatchObject({
        method: 'POST',
        path: '/api/v1/auth/logout',
        headers: { authorization: `Bearer ${TOKEN}` },
      });
    }
    handlers = { ...valid, '/api/v1/auth/logout': closeConnection };
    expect((await logIn()).status, 'the revocation can fail').toBe(200);
  });

  it.each<[string, unknown, unknown, object]>([
    ['token and an id', { token: TOKEN }, { id: 'usr_2', email: 'b@example.com', name: 'B' }, { name: 'B' }],
    ['access_token and a numeric id', { access_token: TOKEN }, { id: 3, email: 'c@example.com' }, { name: null }],
    ['both tokens and a sub', { token: TOKEN, access_token: 'x' }, { sub: 'usr_4', email: 'd@example.com' }, {}],
    [
      'a nested user',
      { token: TOKEN },
      { user: { id: 'usr_5', email: 'e@example.com', full_name: 'E F' } },
      { name: 'E F' },
    ],
    ['an address in capitals', { token: TOKEN }, { id: 'usr_6', email: ' F@Example.com' }, { email: 'f@example.com' }],
    [
      'a name with a control character',
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
      'permissions',
      { token: TOKEN, role: 'admin' },
      { id: 'usr_9', email: 'i@example.com', role: 'admin', plan: 'gold', email_verified: true, org_role: 'owner' },
      { role: 'viewer', plan: 'free', email_verified: false },
    ],
  ])('can respond with %s', async (_case, login, profile, user) => {
    handlers = { [LOGIN]: json(login), [ME]: json(profile) };
    const response = await logIn();
    expect(response).toMatchObject({ status: 200, user });
    expect(response.token).not.toBe(TOKEN);
  });

  it('has one user for each id, string or number', async () => {
    handlers = { ...valid, [ME]: json({ id: 77, email: 'n@example.com' }) };
    const first = await logIn();
    handlers = { ...valid, [ME]: json({ id: '77', email: 'n@example.com' }) };
    expect((await logIn()).user!.id).toBe(first.user!.id);
  });

  it.each<[string, Record<string, Handler>, number, string]>([
    ['rejects the password', { [LOGIN]: json({ error: 'whatever' }, 401) }, 401, 'invalid_credentials'],
    ['rejects the password without a body', { [LOGIN]: (res) => res.writeHead(401).end() }, 401, 'invalid_credentials'],
    ['requires a code', { [LOGIN]: json({ error: 'mfa_required' }, 401) }, 401, 'mfa_required'],
    ['rejects the code', { [LOGIN]: json({ error: 'invalid_otp' }, 401) }, 401, 'invalid_otp'],
    ['rejects the account', { [LOGIN]: json({ error: 'account_suspended' }, 403) }, 403, 'account_suspended'],
    [
      'returns a page with 403',
      { [LOGIN]: (res) => res.writeHead(403).end('<html>') },
      502,
      'upstream_invalid_response',
    ],
    ['fails', { [LOGIN]: json({ error: 'server_error' }, 500) }, 503, 'upstream_unavailable'],
    ['fails at the profile', { [ME]: json({}, 503) }, 503, 'upstream_unavailable'],
    ['closes the connection', { [LOGIN]: closeConnection }, 503, 'upstream_unavailable'],
    ['closes the connection at the profile', { [ME]: closeConnection }, 503, 'upstream_unavailable'],
    ['returns a page', { [LOGIN]: html }, 502, 'upstream_invalid_response'],
    ['returns a page for the profile', { [ME]: html }, 502, 'upstream_invalid_response'],
    ['has no such endpoint', { [LOGIN]: json({ token: TOKEN }, 404) }, 502, 'upstream_invalid_response'],
    ['rejects the request', { [LOGIN]: json({ token: TOKEN }, 422) }, 502, 'upstream_invalid_response'],
    ['redirects', { [LOGIN]: redirect }, 502, 'upstream_invalid_response'],
    ['redirects the profile request', { [ME]: redirect }, 502, 'upstream_invalid_response'],
    ['sends an endless response', { [LOGIN]: flood }, 502, 'upstream_invalid_response'],
    ['sends an endless profile', { [ME]: flood }, 502, 'upstream_invalid_response'],
    ['returns no token', { [LOGIN]: json({ ok: true }) }, 502, 'upstream_invalid_response'],
    ['returns an empty token', { [LOGIN]: json({ token: '' }) }, 502, 'upstream_invalid_response'],
    ['returns a token that is not a string', { [LOGIN]: json({ token: { a: 1 } }) }, 502, 'upstream_invalid_response'],
    ['returns a token with a line break', { [LOGIN]: json({ token: 'a\r\nx: y' }) }, 502, 'upstream_invalid_response'],
    ['returns null', { [LOGIN]: json(null) }, 502, 'upstream_invalid_response'],
    ['returns a list', { [LOGIN]: json([{ token: TOKEN }]) }, 502, 'upstream_invalid_response'],
    ['rejects its own token', { [ME]: json({ error: 'x' }, 401) }, 502, 'upstream_invalid_response'],
    ['returns null as the profile', { [ME]: json(null) }, 502, 'upstream_invalid_response'],
    ['returns no id', { [ME]: json({ email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['returns an empty id', { [ME]: json({ id: '', email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['returns a list of ids', { [ME]: json({ id: ['1'], email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    [
      'returns a boolean as the id',
      { [ME]: json({ id: true, email: 'z@example.com' }) },
      502,
      'upstream_invalid_response',
    ],
    [
      'returns a fraction as the id',
      { [ME]: json({ id: 1.5, email: 'z@example.com' }) },
      502,
      'upstream_invalid_response',
    ],
    [
      'returns an id that is too long',
      { [ME]: json({ id: 'x'.repeat(300), email: 'z@example.com' }) },
      502,
      'upstream_invalid_response',
    ],
    ['returns an id with NUL', { [ME]: json({ id: 'x\0', email: 'z@example.com' }) }, 502, 'upstream_invalid_response'],
    ['returns no e-mail address', { [ME]: json({ id: 'usr_z' }) }, 502, 'upstream_invalid_response'],
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
  ])('that %s causes an error and no session', async (_failure, changed, status, error) => {
    handlers = { ...valid, ...changed };
    const before = await server.base.db.account.count();
    const response = await logIn();
    expect(response).toMatchObject({ status, error });
    expect(response.token).toBeUndefined();
    expect(response.retryAfter !== undefined).toBe(status === 503);
    expect(await server.base.db.account.count()).toBe(before);
    expect(requests.map(({ path }) => path)).not.toContain('/stolen');
  });

  it.each<[string, Record<string, Handler>]>([
    ['does not respond', { [LOGIN]: hang }],
    ['responds byte by byte', { [LOGIN]: trickle }],
    ['does not respond at the profile', { [ME]: hang }],
  ])('that %s is cancelled after five seconds', { timeout: 12_000 }, async (_failure, changed) => {
    handlers = { ...valid, ...changed };
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
  ])('with Retry-After %s causes a bounded waiting time', async (retryAfterHeader, expected) => {
    const date = new Date(Date.now() + 100_000).toUTCString();
    const header: Record<string, string> =
      retryAfterHeader === undefined
        ? {}
        : { 'retry-after': retryAfterHeader === 'at a date' ? date : retryAfterHeader };
    handlers = {
      ...valid,
      [LOGIN]: json({ error: 'auth_rate_limited' }, 429, header),
    };
    const { status, error, retryAfter } = await logIn();
    expect([status, error]).toEqual([429, 'auth_rate_limited']);
    expect(Math.abs(Number(retryAfter) - expected)).toBeLessThanOrEqual(10);
    expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(Number(retryAfter)).toBeLessThanOrEqual(3600);
  });

  it.each([
    ['closes the connection', closeConnection, 503],
    ['fails', json({ error: 'server_error' }, 500), 503],
    ['returns a page', html, 502],
    ['redirects', redirect, 502],
    ['requires a code', json({ error: 'mfa_required' }, 401), 401],
    ['is rate limited', json({ error: 'auth_rate_limited' }, 429), 429],
  ])('that %s does not consume attempts', async (_failure, handler, status) => {
    const credentials = { email: 'patient@example.com', password: 'a password' };
    const attempt = async () => {
      const headers = { 'x-forwarded-for': '10.7.7.7' };
      return (await callApi(server, 'POST', '/auth/proxy-login', { body: credentials, headers })).status;
    };
    handlers = { ...valid, [LOGIN]: handler };
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) statuses.push(await attempt());
    expect(statuses).toEqual(Array(11).fill(status));
    // Earlier wrong passwords still count.
    handlers = { ...valid, [LOGIN]: json({ error: 'invalid_credentials' }, 401) };
    for (let n = 0; n < 9; n += 1) expect(await attempt()).toBe(401);
    handlers = { ...valid, [LOGIN]: handler };
    expect(await attempt()).toBe(status);
    handlers = { ...valid, [ME]: json({ id: 'patient', email: credentials.email }) };
    expect(await attempt()).toBe(200);
  });

  it('receives the same request for known and unknown addresses, in the same time', async () => {
    handlers = valid;
    const { user } = await logIn({ email: 'jane@example.com' });
    const known = String(user!.email);
    handlers = { ...valid, [LOGIN]: json({ error: 'invalid_credentials' }, 401) };
    await server.core.waitUntilIdle();
    requests.length = 0;
    // Compares the fastest of each, because other load only adds time. A machine that is busy
    // throughout gets another attempt.
    const fastest = { known: Number.POSITIVE_INFINITY, unknown: Number.POSITIVE_INFINITY };
    const isSimilar = ({ known, unknown }: typeof fastest) =>
      Math.abs(known - unknown) < Math.max(5, 0.3 * Math.max(known, unknown));
    for (let n = 0; n < 40 || (n < 90 && !isSimilar(fastest)); n += 1) {
      for (const [kind, email] of [['known', known] as const, ['unknown', `unknown${n}@example.com`] as const]) {
        const started = performance.now();
        expect((await logIn({ email })).error).toBe('invalid_credentials');
        expect(requests.splice(0).map(({ path }) => path)).toEqual([LOGIN]);
        fastest[kind] = Math.min(fastest[kind], performance.now() - started);
      }
    }
    expect(fastest).toSatisfy(isSimilar);
  });
});

describe('an unreachable upstream provider', () => {
  /** Returns a port without a listener. */
  async function freePort(): Promise<number> {
    const httpServer = createServer();
    await new Promise<void>((resolve) => httpServer.listen(0, '127.0.0.1', resolve));
    const { port } = httpServer.address() as AddressInfo;
    await new Promise((resolve) => httpServer.close(resolve));
    return port;
  }

  it('causes an error, without use of a proxy from the environment', async () => {
    const proxied: string[] = [];
    const proxy = await openHttpServer((req, res) => {
      proxied.push(req.url!);
      res.end();
    });
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) process.env[name] = proxy.origin;
    try {
      const port = await freePort();
      for (const url of [`http://localhost:${port}`, upstream.origin.replace('http:', 'https:')]) {
        const unconnected = await startServer({ settings: { UPSTREAM_AUTH_URL: url } });
        expect(await logIn({}, unconnected)).toMatchObject({ status: 503, error: 'upstream_unavailable' });
        expect(await unconnected.base.db.account.count()).toBe(0);
        await unconnected.close();
      }
      expect(proxied).toEqual([]);
    } finally {
      for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) delete process.env[name];
      await proxy.close();
    }
  });
});
