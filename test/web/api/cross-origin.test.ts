// Which pages of other origins may read what the API answers: those that are listed, and nobody
// without a list.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { logInWithCookies } from '../../support/api-cookies.js';
import { sendRequest, type TestResponse } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';

const LISTED = ['https://app.example', 'http://localhost:4000'];
const UNLISTED = [
  'https://evil.example',
  'https://app.example.evil.example',
  'https://evil-app.example',
  'https://sub.app.example',
  'http://app.example',
  'https://app.example:8443',
  'https://APP.EXAMPLE',
  'https://app.example/',
  'https://app.example, https://evil.example',
  'http://localhost:4001',
  'http://127.0.0.1:4000',
  'null',
  '*',
];
const API = ['/api/v1/auth/me', '/api/v1/auth/login', '/api/v1/auth/nowhere'];
const ELSEWHERE = ['/', '/login', '/register', '/account', '/oauth/authorize', '/oauth/logout', '/device', '/nowhere'];

const corsOf = ({ headers }: TestResponse) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('cross-origin requests to the API', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { CORS_ALLOWED_ORIGINS: LISTED.join(',') } });
  });
  afterAll(() => server.close());

  const preflight = (path: string, origin: string, method = 'PATCH', headers = 'content-type,x-csrf-token') =>
    sendRequest(server, 'OPTIONS', path, {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': headers,
    });

  it.each(LISTED)('may be read by a page of %s, with its cookies', async (origin) => {
    for (const path of API) {
      const answer = await sendRequest(server, 'GET', path, { origin });
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
      });
      expect(answer.headers['access-control-expose-headers']).toMatch(/RateLimit-Remaining.*Retry-After/);
    }
  });

  it.each(LISTED)('are answered to the preflight of %s, once for ten minutes', async (origin) => {
    for (const path of API) {
      const answer = await preflight(path, origin);
      expect([answer.status, answer.text]).toEqual([204, '']);
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-max-age': '600',
      });
      const methods = answer.headers['access-control-allow-methods']!.split(', ');
      expect(methods).toEqual(expect.arrayContaining(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']));
      const headers = answer.headers['access-control-allow-headers']!.toLowerCase().split(', ');
      expect(headers).toEqual(expect.arrayContaining(['authorization', 'content-type', 'x-api-key', 'x-csrf-token']));
    }
  });

  it.each(UNLISTED)('are told nothing when they come from %s', async (origin) => {
    for (const path of API) {
      expect(corsOf(await sendRequest(server, 'GET', path, { origin }))).toEqual([]);
      expect(corsOf(await preflight(path, origin, 'GET', 'authorization'))).toEqual([]);
    }
  });

  it('are refused in a way that a listed page can read', async () => {
    const [origin] = LISTED as [string];
    const refused = await sendRequest(server, 'GET', '/api/v1/auth/me', { origin });
    expect([refused.status, refused.json.error]).toEqual([401, 'no_auth']);
    expect(refused.headers['access-control-allow-origin']).toBe(origin);
    const tooLong = { origin, 'content-type': 'application/json' };
    const answer = await sendRequest(server, 'POST', '/api/v1/auth/login', tooLong, `"${'x'.repeat(100_000)}"`);
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([413, origin]);
  });

  it('do nothing by a preflight, whatever it carries', async () => {
    const { email } = await server.account();
    const { bearer } = await logInWithCookies(server, email);
    for (const origin of [LISTED[0]!, UNLISTED[0]!]) {
      const headers = { ...bearer, origin, 'access-control-request-method': 'POST' };
      await sendRequest(server, 'OPTIONS', '/api/v1/auth/logout', headers);
    }
    expect((await sendRequest(server, 'GET', '/api/v1/auth/me', bearer)).status).toBe(200);
  });

  it('are kept apart by every cache, whoever asked first', async () => {
    for (const headers of [{}, { origin: LISTED[0]! }, { origin: UNLISTED[0]! }] as Record<string, string>[])
      for (const path of [...API, '/api/openapi.json'])
        expect((await sendRequest(server, 'GET', path, headers)).headers.vary, path).toMatch(/\bOrigin\b/);
  });

  it.each(ELSEWHERE)('are none where people come: %s', async (path) => {
    for (const origin of [...LISTED, server.issuer]) {
      expect(corsOf(await sendRequest(server, 'GET', path, { origin }))).toEqual([]);
      expect(corsOf(await sendRequest(server, 'POST', path, { origin }))).toEqual([]);
      expect(corsOf(await preflight(path, origin))).toEqual([]);
    }
  });

  it('leave the token endpoint to the origins of its clients', async () => {
    const answer = await sendRequest(server, 'POST', '/api/v1/oauth/token', { origin: LISTED[0]! });
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('without a list', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  it.each([...LISTED, 'null', 'https://evil.example'])('there is no CORS at all, for %s', async (origin) => {
    for (const path of API) {
      const asked = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      };
      for (const answer of [
        await sendRequest(server, 'GET', path, { origin }),
        await sendRequest(server, 'OPTIONS', path, asked),
      ])
        expect(corsOf(answer)).toEqual([]);
    }
  });

  it('not even our own origin is told anything, and it needs nothing', async () => {
    expect(corsOf(await sendRequest(server, 'GET', '/api/v1/auth/me', { origin: server.issuer }))).toEqual([]);
    const { email } = await server.account();
    expect((await logInWithCookies(server, email, { origin: server.issuer })).set).toHaveLength(3);
  });
});

describe('a list that is wrong', () => {
  it.each([
    '*',
    'https://*.example.com',
    'app.example.com',
    'https://app.example.com/path',
    'null',
    'file://',
    'ws://a.example',
  ])('keeps the server from starting: %s', (origin) => {
    expect(() => readConfig({ CORS_ALLOWED_ORIGINS: origin })).toThrow('CORS_ALLOWED_ORIGINS');
  });

  it('is told from one that is right', () => {
    expect(readConfig({ CORS_ALLOWED_ORIGINS: LISTED.join(', ') }).corsAllowedOrigins).toEqual(LISTED);
  });
});
