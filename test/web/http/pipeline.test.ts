// Every request passes the same pipeline, whether a direct route or Koa serves it. Each direct
// route is requested twice: as it is, and with a query string, which sends the request through Koa.

import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../../support/relying-party.js';
import { basicAuth, FORM, postForm, sendRequest, type TestResponse } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const VARYING = new Set(['date', 'x-request-id', 'dpop-nonce', 'content-length', 'ratelimit-remaining']);
const DIRECT = [
  'GET /.well-known/openid-configuration',
  'GET /.well-known/oauth-authorization-server',
  'GET /oauth/jwks',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-protected-resource',
  'GET /.well-known/oauth-protected-resource/api/v1',
  'POST /api/v1/oauth/token',
  'POST /oauth/token',
  'POST /oauth/introspect',
  'POST /oauth/revoke',
  'GET /oauth/userinfo',
  'POST /oauth/userinfo',
  'POST /api/validate',
];

describe('the request pipeline', () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer({
      settings: { TRUSTED_PROXIES: '127.0.0.0/8,::1', CORS_ALLOWED_ORIGINS: 'https://app.example' },
    });
    client = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  });
  afterAll(() => server.close());

  /** The part of a response that must not depend on the handler. */
  function stable({ status, headers, json }: TestResponse) {
    const compared = Object.entries(headers).filter(([name]) => !VARYING.has(name));
    return { status, headers: Object.fromEntries(compared), members: Object.keys(json) };
  }

  async function logLine(requestId: string | undefined): Promise<Record<string, unknown>> {
    const find = () =>
      server.lines
        .map((line) => JSON.parse(line))
        .find((line) => line.requestId === requestId && line.msg === 'request');
    await expect.poll(find).toBeDefined();
    return find();
  }

  async function send(route: string, query = ''): Promise<TestResponse> {
    const [method = '', path = ''] = route.split(' ');
    if (method === 'GET') return sendRequest(server, method, path + query);
    if (path === '/api/validate') {
      const headers = { 'content-type': 'application/json', authorization: 'Bearer unknown' };
      return sendRequest(server, method, path + query, headers, '{"tool":"wiki"}');
    }
    return postForm(server, path + query, { grant_type: 'client_credentials', token: 'unknown' }, { client });
  }

  it('shortens a long path in the access log', async () => {
    const { headers } = await sendRequest(server, 'GET', `/${'x'.repeat(12_000)}`);
    expect((await logLine(headers['x-request-id'])).path).toBe(`/${'x'.repeat(1999)}…`);
  });

  it('has a test for every direct route', () => {
    expect(server.app.directRoutes.map(({ route }) => route).sort()).toEqual([...DIRECT].sort());
  });

  it.each(DIRECT)('gives the same response with and without Koa: %s', async (route) => {
    const [direct, koa] = [await send(route), await send(route, '?x')];
    expect(stable(direct)).toEqual(stable(koa));
    expect(direct.headers).toMatchObject({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': expect.stringMatching(/no-store|public, max-age=300/),
    });
    const [directLine, koaLine] = [
      await logLine(direct.headers['x-request-id']),
      await logLine(koa.headers['x-request-id']),
    ];
    const [method, path] = route.split(' ');
    expect(directLine).toMatchObject({ level: 'info', method, path, status: direct.status });
    const varying = { time: 0, ms: 0, requestId: '' };
    expect({ ...directLine, ...varying }).toEqual({ ...koaLine, ...varying });
  });

  it.each(DIRECT)('rejects other methods the same way: %s', async (route) => {
    const path = route.split(' ')[1]!;
    const [plain, query] = [
      await sendRequest(server, 'DELETE', path),
      await sendRequest(server, 'DELETE', `${path}?x`),
    ];
    expect(plain.status).toBe(405);
    expect(stable(plain)).toEqual(stable(query));
  });

  it.each(DIRECT)('responds 404 with JSON to a trailing slash: %s', async (route) => {
    const [method = '', path = ''] = route.split(' ');
    const response = await sendRequest(server, method, `${path}/`, method === 'POST' ? { 'content-type': FORM } : {});
    expect(response).toMatchObject({ status: path === '/api/validate' ? 401 : 404 });
    expect(response.json.error).toEqual(expect.any(String));
  });

  it('logs no error if the client aborts a form', async () => {
    const before = server.lines.length;
    const socket = connect(server.port, '127.0.0.1');
    const head = `POST /oauth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FORM}\r\nContent-Length: 50\r\n\r\nabc`;
    await new Promise<void>((resolve) => socket.write(head, () => resolve()));
    await setTimeout(50); // until the server reads the body
    socket.resetAndDestroy();
    await expect
      .poll(() => server.lines.slice(before).some((line) => line.includes('"path":"/oauth/logout"')))
      .toBe(true);
    expect(server.lines.slice(before).filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  it('logs the client address and the request id that a trusted proxy sends', async () => {
    const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.7', 'x-request-id': 'from-the-proxy' };
    await sendRequest(server, 'GET', '/oauth/jwks', headers);
    expect(await logLine('from-the-proxy')).toMatchObject({ path: '/oauth/jwks', status: 200, address: '203.0.113.7' });
  });

  it.each(['', '?x'])('rejects compressed, too large and ambiguous requests (with "%s")', async (query) => {
    const headers = { 'content-type': FORM, authorization: basicAuth(client) };
    const compressed = await sendRequest(
      server,
      'POST',
      `/oauth/token${query}`,
      { ...headers, 'content-encoding': 'gzip' },
      'x',
    );
    expect([compressed.status, compressed.json.error]).toEqual([415, 'unsupported_media_type']);
    const large = await sendRequest(
      server,
      'POST',
      `/oauth/token${query}`,
      headers,
      `grant_type=${'x'.repeat(60_000)}`,
    );
    expect([large.status, large.json.error]).toEqual([413, 'payload_too_large']);
    expect(large.headers.connection).toBe('close');
    const twice = { ...headers, authorization: [basicAuth(client), basicAuth(client)] };
    const ambiguous = await sendRequest(server, 'POST', `/oauth/token${query}`, twice, 'grant_type=client_credentials');
    expect([ambiguous.status, ambiguous.json.error]).toEqual([400, 'invalid_request']);
  });

  it('counts failed client authentication with and without Koa together', async () => {
    const wrong = { authorization: basicAuth({ id: client.id, secret: 'wrong' }), 'x-forwarded-for': '203.0.113.8' };
    const responses: TestResponse[] = [];
    for (let n = 0; n < 62; n += 1) {
      const path = n % 2 === 0 ? '/oauth/token' : '/oauth/token?x';
      responses.push(await sendRequest(server, 'POST', path, { 'content-type': FORM, ...wrong }, 'grant_type=x'));
    }
    expect(responses.map(({ status }) => status)).toEqual([...Array(60).fill(401), 429, 429]);
    expect(stable(responses[60]!)).toEqual(stable(responses[61]!));
    const other = { 'x-forwarded-for': '203.0.113.9' };
    const allowed = await postForm(
      server,
      '/oauth/token',
      { grant_type: 'client_credentials' },
      { client, headers: other },
    );
    expect(allowed.status).toBe(200);
  });

  it('accepts a request target in absolute form', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.end('GET http://localhost/oauth/jwks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    const response = await text(socket);
    expect(response).toMatch(/^HTTP\/1\.1 200 /);
    expect(response).toContain("Content-Security-Policy: default-src 'none'; frame-ancestors 'none'");
  });

  it('sends JSON and logs the error when a direct route fails', async () => {
    const failing = await startServer({
      wrapBase: (base) => ({
        ...base,
        rateLimiter: { ...base.rateLimiter, consume: () => Promise.reject(new Error('a bug')) },
      }),
    });
    const headers = { authorization: 'Bearer unknown' };
    const [direct, koa] = [
      await sendRequest(failing, 'POST', '/api/validate', headers),
      await sendRequest(failing, 'POST', '/api/validate?x', headers),
    ];
    await failing.close();
    expect(direct).toMatchObject({ status: 500, json: { error: 'server_error' } });
    expect(stable(direct)).toEqual(stable(koa));
    expect(failing.lines.filter((line) => line.includes('a bug'))).toHaveLength(2);
  });
});
