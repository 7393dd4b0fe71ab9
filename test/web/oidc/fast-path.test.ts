// A request with a query goes the long way, an ordinary one the straight way: nobody can tell them
// apart by the answer or by the log.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, basic, FORM, postForm, type RawAnswer } from '../../support/raw-request.js';
import type { TestClient } from '../../support/relying-party.js';
import { startServer, type TestServer } from '../../support/server.js';

const PATHS = ['/api/v1/oauth/token', '/oauth/token', '/oauth/introspect', '/oauth/revoke', '/oauth/userinfo'];
const VARYING = new Set(['date', 'x-request-id', 'dpop-nonce']);

describe('the straight way of machines', () => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer({ settings: { TRUSTED_PROXIES: '127.0.0.0/8,::1' } });
    client = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
  });
  afterAll(() => server.close());

  const post = (path: string, params: Record<string, string>, headers: Record<string, string> = {}) =>
    postForm(server, path, params, { client, headers });

  function lasting({ status, headers, json }: RawAnswer) {
    const kept = Object.entries(headers).filter(([name]) => !VARYING.has(name) && name !== 'content-length');
    return { status, headers: Object.fromEntries(kept), members: Object.keys(json) };
  }

  async function lineOf(requestId: string): Promise<Record<string, unknown> | undefined> {
    await sleep(50);
    return server.lines.map((line) => JSON.parse(line)).find((line) => line.requestId === requestId && line.ms >= 0);
  }

  it.each(PATHS)('answers at %s as the long way does', async (path) => {
    const params = { grant_type: 'client_credentials', token: 'unknown' };
    const [straight, long] = [await post(path, params), await post(`${path}?long`, params)];
    expect(lasting(straight)).toEqual(lasting(long));
    expect(straight.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    });
    expect(straight.headers['x-request-id']).toMatch(/^[\w-]{36}$/);
  });

  it('refuses userinfo alike to whoever brings no token', async () => {
    const [straight, long] = [
      await ask(server, 'GET', '/oauth/userinfo'),
      await ask(server, 'GET', '/oauth/userinfo?long'),
    ];
    expect(lasting(straight)).toEqual(lasting(long));
  });

  it('writes the same line to the log, with the address of the nearest hop that is not a proxy of ours', async () => {
    const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.7', 'x-request-id': 'given-by-the-proxy' };
    const { status } = await post('/oauth/token', { grant_type: 'client_credentials' }, headers);
    expect(status).toBe(200);
    expect(await lineOf('given-by-the-proxy')).toMatchObject({
      level: 'info',
      msg: 'request',
      method: 'POST',
      path: '/oauth/token',
      status: 200,
      address: '203.0.113.7',
    });
  });

  it('leaves what is not ordinary to the long way, which refuses it', async () => {
    const type = { 'content-type': FORM, authorization: basic(client) };
    const packed = await ask(server, 'POST', '/oauth/token', { ...type, 'content-encoding': 'gzip' }, 'x');
    expect([packed.status, packed.json.error]).toEqual([415, 'unsupported_media_type']);
    const long = await ask(server, 'POST', '/oauth/token', type, `grant_type=${'x'.repeat(60_000)}`);
    expect([long.status, long.json.error]).toEqual([413, 'payload_too_large']);
    const [deleted, got] = [await ask(server, 'DELETE', '/oauth/token'), await ask(server, 'GET', '/oauth/token')];
    expect([deleted.status, got.status]).toEqual([405, 405]);
  });

  it('counts wrong secrets together with those of the long way', async () => {
    const wrong = { authorization: basic({ id: client.id, secret: 'wrong' }), 'x-forwarded-for': '203.0.113.8' };
    const statuses: number[] = [];
    for (let n = 0; n < 62; n += 1) {
      const path = n % 2 === 0 ? '/oauth/token' : '/oauth/token?long';
      const { status } = await ask(server, 'POST', path, { 'content-type': FORM, ...wrong }, 'grant_type=x');
      statuses.push(status);
    }
    expect(statuses).toEqual([...Array(60).fill(401), 429, 429]);
    const elsewhere = await post(
      '/oauth/token',
      { grant_type: 'client_credentials' },
      { 'x-forwarded-for': '203.0.113.9' },
    );
    expect(elsewhere.status).toBe(200);
  });
});
