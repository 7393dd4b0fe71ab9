// POST /api/validate: its body, its rate limit, and its direct route, which serves requests without
// a query string past Koa.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { callTools, sendRequest, type TestResponse } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { createToolsAccount, createToolsKey, validateToken } from '../../support/tools-api.js';

const DIRECT = '/api/validate';
const THROUGH_KOA = '/api/validate?x';
const VARYING_HEADERS = new Set(['date', 'x-request-id', 'content-length']);

describe('the validate endpoint', () => {
  let server: TestServer;
  let admin: Awaited<ReturnType<typeof createToolsAccount>>;
  let queries = 0;
  beforeAll(async () => {
    server = await startServer({
      settings: { TRUSTED_PROXIES: '127.0.0.0/8,::1', RATE_LIMIT_VALIDATE: '1000' },
      wrapBase: (base) => ({ ...base, db: countQueries(base.db) }),
    });
    admin = await createToolsAccount(server, 'admin');
    for (const [slug, name] of [
      ['dealroom', 'Deal room'],
      ['wiki', 'Wiki'],
    ] as const)
      await server.core.tools.create({ slug, name }, admin.id, systemMeta);
  });
  afterAll(() => server.close());

  /** Counts accesses to the models of the database client. */
  function countQueries<Client extends object>(db: Client): Client {
    return new Proxy(db, {
      get(target, name) {
        if (name !== '$on' && name !== '$disconnect') queries += 1;
        const member = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  }

  async function createReader() {
    const { id, token } = await createToolsAccount(server);
    await server.core.permissions.grant({ accountId: id, slug: 'dealroom', level: 'read' }, admin.id, systemMeta);
    return token;
  }

  it.each([
    [{ tool: 5 }, 400],
    [{ tool: 'x'.repeat(101) }, 400],
    [[], 400],
    [{ tool: null }, 200],
    [{ tool: 'wiki', more: [1, 2] }, 200],
  ])('responds to the body %j with %i', async (body, status) => {
    expect((await callTools(server, 'POST', '/validate', { token: admin.token, body })).status).toBe(status);
  });

  it('gives the same response by the direct route and through Koa', async () => {
    const authorization = `Bearer ${await createReader()}`;
    const json = { 'content-type': 'application/json', authorization };
    const tool = '{"tool":"dealroom"}';
    const requests: [string, Record<string, string | string[]>, string | undefined][] = [
      ['with access to the tool', json, tool],
      ['without access to the tool', json, '{"tool":"wiki"}'],
      ['without a tool', { authorization }, undefined],
      ['with two tokens', { ...json, authorization: [authorization, 'Bearer unknown'] }, tool],
      ['with an invalid token', { ...json, authorization: 'Bearer unknown' }, tool],
      ['with malformed JSON', json, '{'],
      ['with an unpaired surrogate', json, '"\udc00'],
      ['with a wrong type', json, '{"tool":5}'],
      ['with a number as the body', json, '7'],
    ];
    for (const [name, headers, body] of requests) {
      const direct = await sendRequest(server, 'POST', DIRECT, headers, body);
      const throughKoa = await sendRequest(server, 'POST', THROUGH_KOA, headers, body);
      expect(withoutVarying(direct), name).toEqual(withoutVarying(throughKoa));
      expect(direct.headers, name).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'ratelimit-limit': '1000',
      });
      expect(direct.headers['x-request-id']).toMatch(/^[\w-]{36}$/);
    }
  });

  it('logs a request of the direct route without its token', async () => {
    const requestId = `request-${Math.random()}`;
    const headers = { 'x-request-id': requestId, 'x-forwarded-for': '6.6.6.6, 203.0.113.7' };
    await callTools(server, 'POST', '/validate', { token: admin.token, headers });
    const findLine = () => server.lines.map((text) => JSON.parse(text)).find((line) => line.requestId === requestId);
    await expect.poll(findLine, { timeout: 2000 }).toMatchObject({
      msg: 'request',
      method: 'POST',
      path: '/api/validate',
      status: 200,
      address: '203.0.113.7',
    });
    expect(server.lines.join('')).not.toContain(admin.token);
  });

  it('handles requests that the direct route does not serve', async () => {
    const authorization = `Bearer ${admin.token}`;
    const json = { authorization, 'content-type': 'application/json' };
    const post = (headers: Record<string, string>, body: string) => sendRequest(server, 'POST', DIRECT, headers, body);
    expect((await post({ ...json, 'content-encoding': 'gzip' }, '{}')).json.error).toBe('unsupported_media_type');
    expect((await post({ authorization, 'content-type': 'text/plain' }, '{}')).status).toBe(415);
    expect((await post(json, `"${'x'.repeat(70_000)}"`)).status).toBe(413);
    expect((await post({ ...json, 'x-api-key': admin.token }, '{}')).status).toBe(200);
    expect((await sendRequest(server, 'GET', DIRECT, { authorization })).status).toBe(405);
    const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const { headers } = await sendRequest(server, 'OPTIONS', DIRECT, preflight);
    expect(headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('does not query the database again for a key that was validated a moment ago', async () => {
    const key = await createToolsKey(server, await createReader());
    // Background writes and expiring caches can add queries to one round, but not to every round.
    const queriesByRound: number[] = [];
    for (let round = 0; round < 5 && !queriesByRound.includes(0); round += 1) {
      expect((await validateToken(server, key, 'dealroom')).json.permission).toBe('read');
      const before = queries;
      expect(before).toBeGreaterThan(0);
      for (let n = 0; n < 10; n += 1)
        expect((await validateToken(server, key, 'dealroom')).json.permission).toBe('read');
      queriesByRound.push(queries - before);
    }
    expect(queriesByRound).toContain(0);
  });

  it('counts requests of both routes by the address of the tool, and not as failed authentication', async () => {
    const headers = {
      'x-forwarded-for': '198.51.100.7',
      authorization: 'Bearer unknown',
      'content-type': 'application/json',
    };
    const remaining: (string | undefined)[] = [];
    for (let n = 0; n < 120; n += 1) {
      const response = await sendRequest(server, 'POST', n % 4 === 0 ? THROUGH_KOA : DIRECT, headers, '{}');
      expect(response.status).toBe(401);
      remaining.push(response.headers['ratelimit-remaining']);
    }
    expect(remaining).toEqual(Array.from({ length: 120 }, (_, n) => String(999 - n)));
  });

  it('limits requests to RATE_LIMIT_VALIDATE a minute, apart from the other endpoints', async () => {
    const strict = await startServer({ settings: { RATE_LIMIT_VALIDATE: '3' } });
    const { token } = await createToolsAccount(strict);
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await validateToken(strict, token)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    const limited = await sendRequest(strict, 'POST', THROUGH_KOA);
    expect([limited.status, limited.json.error]).toEqual([429, 'rate_limited']);
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    expect((await callTools(strict, 'GET', '/me', { token })).status).toBe(200);
    await strict.close();
  });
});

function withoutVarying({ status, headers, json }: TestResponse) {
  const { request_id: _requestId, ...members } = json;
  const stable = Object.entries(headers).filter(
    ([name]) => !VARYING_HEADERS.has(name) && !name.startsWith('ratelimit-re'),
  );
  return { status, headers: Object.fromEntries(stable), members };
}
