// The body parser of pages and of the JSON API: koa-body, and the checks around it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FORM, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

describe('a form of a page', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
    sendRequest(server, 'POST', '/login', { 'content-type': FORM, accept: 'application/json', ...headers }, body);

  it.each([
    ['a duplicate field', 'email=a&email=b', 400],
    ['30 duplicate fields', 'email=a&'.repeat(30), 400],
    ['201 fields', Array.from({ length: 201 }, (_, n) => `f${n}=x`).join('&'), 400],
    ['30,000 fields', 'a&'.repeat(30_000), 400],
    ['bytes that are not UTF-8', Buffer.from([0x61, 0x3d, 0xff]), 400],
    ['an incomplete UTF-8 sequence', Buffer.from([0x61, 0x3d, 0xe2, 0x82]), 400],
    ['an encoded NUL character', 'email=%00', 400],
    ['more than 64 KB', `email=${'x'.repeat(70_000)}`, 413],
  ])('is rejected with %s', async (_, body, status) => {
    const response = await post(body);
    expect(response.status).toBe(status);
    expect(response.json.error).toBe(status === 413 ? 'payload_too_large' : 'invalid_request');
  });

  it('is rejected when it is compressed', async () => {
    expect((await post('email=a', { 'content-encoding': 'gzip' })).json.error).toBe('unsupported_media_type');
  });

  it('is accepted with any field names, which are not interpreted', async () => {
    const response = await post('a.b=1&a[b]=2&__proto__=3&constructor=4&csrf=x&email=a&password=b');
    expect(response.json.error).toBe('csrf_validation_failed'); // parsed, then rejected by the next check
  });

  it('is rejected by its length before the whole body has arrived', async () => {
    const headers = { 'content-length': '1000000', 'content-type': FORM, accept: 'application/json' };
    const response = await sendRequest(server, 'POST', '/login', headers, 'email=a');
    expect([response.status, response.headers.connection]).toEqual([413, 'close']);
  });
});

describe('a query', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  const get = (path: string, count: number) => {
    const query = Array.from({ length: count }, (_, n) => `p${n}=x`).join('&');
    return sendRequest(server, 'GET', `${path}?${query}`, { accept: 'application/json' });
  };

  it.each(['/login', '/device', '/oauth/authorize', '/api/v1/agents', '/.well-known/openid-configuration'])(
    'of %s has at most 200 parameters',
    async (path) => {
      const { status, json } = await get(path, 201);
      expect([status, json.error_description]).toEqual([400, 'A query can have at most 200 parameters.']);
      expect((await get(path, 200)).text).not.toContain('at most');
    },
  );
});
