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
const API_PATHS = ['/api/v1/auth/me', '/api/v1/auth/login', '/api/v1/auth/unknown'];
const PAGE_PATHS = ['/', '/login', '/register', '/account', '/oauth/authorize', '/oauth/logout', '/device', '/unknown'];

const corsHeadersOf = ({ headers }: TestResponse) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('CORS for the origins in CORS_ALLOWED_ORIGINS', () => {
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

  it.each(LISTED)('allows pages of %s to read API responses and to send cookies', async (origin) => {
    for (const path of API_PATHS) {
      const response = await sendRequest(server, 'GET', path, { origin });
      expect(response.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
      });
      expect(response.headers['access-control-expose-headers']).toMatch(/RateLimit-Remaining.*Retry-After/);
    }
  });

  it.each(LISTED)('allows preflight requests from %s, cached for ten minutes', async (origin) => {
    for (const path of API_PATHS) {
      const response = await preflight(path, origin);
      expect([response.status, response.text]).toEqual([204, '']);
      expect(response.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-max-age': '600',
      });
      const methods = response.headers['access-control-allow-methods']!.split(', ');
      expect(methods).toEqual(expect.arrayContaining(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']));
      const headers = response.headers['access-control-allow-headers']!.toLowerCase().split(', ');
      expect(headers).toEqual(expect.arrayContaining(['authorization', 'content-type', 'x-api-key', 'x-csrf-token']));
    }
  });

  it.each(UNLISTED)('sends no CORS headers to the origin %s', async (origin) => {
    for (const path of API_PATHS) {
      expect(corsHeadersOf(await sendRequest(server, 'GET', path, { origin }))).toEqual([]);
      expect(corsHeadersOf(await preflight(path, origin, 'GET', 'authorization'))).toEqual([]);
    }
  });

  it('allows a listed origin to read errors', async () => {
    const [origin] = LISTED as [string];
    const unauthenticated = await sendRequest(server, 'GET', '/api/v1/auth/me', { origin });
    expect([unauthenticated.status, unauthenticated.json.error]).toEqual([401, 'no_auth']);
    expect(unauthenticated.headers['access-control-allow-origin']).toBe(origin);
    const headers = { origin, 'content-type': 'application/json' };
    const tooLarge = await sendRequest(server, 'POST', '/api/v1/auth/login', headers, `"${'x'.repeat(100_000)}"`);
    expect([tooLarge.status, tooLarge.headers['access-control-allow-origin']]).toEqual([413, origin]);
  });

  it('does not run the operation of a preflight request', async () => {
    const { email } = await server.account();
    const { bearer } = await logInWithCookies(server, email);
    for (const origin of [LISTED[0]!, UNLISTED[0]!]) {
      const headers = { ...bearer, origin, 'access-control-request-method': 'POST' };
      await sendRequest(server, 'OPTIONS', '/api/v1/auth/logout', headers);
    }
    expect((await sendRequest(server, 'GET', '/api/v1/auth/me', bearer)).status).toBe(200);
  });

  it('sends Vary: Origin to every caller, so that caches separate origins', async () => {
    for (const headers of [{}, { origin: LISTED[0]! }, { origin: UNLISTED[0]! }] as Record<string, string>[])
      for (const path of [...API_PATHS, '/api/openapi.json'])
        expect((await sendRequest(server, 'GET', path, headers)).headers.vary, path).toMatch(/\bOrigin\b/);
  });

  it.each(PAGE_PATHS)('does not apply to the page %s', async (path) => {
    for (const origin of [...LISTED, server.issuer]) {
      expect(corsHeadersOf(await sendRequest(server, 'GET', path, { origin }))).toEqual([]);
      expect(corsHeadersOf(await sendRequest(server, 'POST', path, { origin }))).toEqual([]);
      expect(corsHeadersOf(await preflight(path, origin))).toEqual([]);
    }
  });

  it('does not allow credentials at the token endpoint', async () => {
    const response = await sendRequest(server, 'POST', '/api/v1/oauth/token', { origin: LISTED[0]! });
    expect(response.headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('CORS without CORS_ALLOWED_ORIGINS', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server.close());

  it.each([...LISTED, 'null', 'https://evil.example'])('is disabled for the origin %s', async (origin) => {
    for (const path of API_PATHS) {
      const preflight = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      };
      for (const response of [
        await sendRequest(server, 'GET', path, { origin }),
        await sendRequest(server, 'OPTIONS', path, preflight),
      ])
        expect(corsHeadersOf(response)).toEqual([]);
    }
  });

  it('is disabled for the origin of the issuer, which can use cookies without it', async () => {
    expect(corsHeadersOf(await sendRequest(server, 'GET', '/api/v1/auth/me', { origin: server.issuer }))).toEqual([]);
    const { email } = await server.account();
    expect((await logInWithCookies(server, email, { origin: server.issuer })).set).toHaveLength(3);
  });
});

describe('the setting CORS_ALLOWED_ORIGINS', () => {
  it.each([
    '*',
    'https://*.example.com',
    'app.example.com',
    'https://app.example.com/path',
    'null',
    'file://',
    'ws://a.example',
  ])('rejects %s', (origin) => {
    expect(() => readConfig({ CORS_ALLOWED_ORIGINS: origin })).toThrow('CORS_ALLOWED_ORIGINS');
  });

  it('accepts a list of origins', () => {
    expect(readConfig({ CORS_ALLOWED_ORIGINS: LISTED.join(', ') }).corsAllowedOrigins).toEqual(LISTED);
  });
});
