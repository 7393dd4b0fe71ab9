// Malformed and oversized requests to the OAuth endpoints and pages.
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorizeUrl, pkce, type TestClient } from '../../support/relying-party.js';
import { FORM, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const base64url = (text: string) => Buffer.from(text).toString('base64url');
const NUL_ASSERTION = `${base64url('{"alg":"RS256"}')}.${base64url('{"iss":"a\\u0000b","sub":"a\\u0000b"}')}.AAAA`;

describe.each(stores)('malformed requests on $name', (store) => {
  let server: TestServer;
  let client: TestClient;
  beforeAll(async () => {
    server = await startServer({ store });
    client = await server.client();
  });
  afterAll(() => server.close());

  /** Sends a request. Returns its status after checks that apply to every response. */
  async function send(method: string, path: string, body?: string) {
    const headers: Record<string, string> = body === undefined ? {} : { 'content-type': FORM };
    const response = await sendRequest(server, method, path, headers, body);
    expect(response.headers['x-content-type-options'], path).toBe('nosniff');
    expect(response.text, path).not.toMatch(/\bat .*\.(js|ts):\d+/); // no stack trace
    const { location } = response.headers;
    if (location) expect(new URL(location, server.origin).hostname, path).not.toBe('evil.example');
    return response.status;
  }

  it.each<[method: string, path: string, body?: string]>([
    ['GET', '/oauth/authorize'],
    ['GET', '/oauth/authorize?client_id=%00&redirect_uri=%00'],
    ['GET', '/oauth/authorize/unknown'],
    ['GET', '/interaction/unknown'],
    ['POST', '/interaction/unknown', 'csrf=x&decision=allow'],
    ['GET', '/device?user_code=XXXX-XXXX'],
    ['GET', '/device/unknown'],
    ['POST', '/device', 'user_code=XXXX&xsrf=x'],
    ['POST', '/device', 'user_code=%00&xsrf=x'],
    ['GET', '/oauth/logout?id_token_hint=garbage'],
    ['GET', '/oauth/logout?post_logout_redirect_uri=https://evil.example'],
    ['POST', '/oauth/logout/confirm', 'xsrf=x&logout=yes'],
    ['GET', '/oauth/logout/success?client_id=unknown'],
    ['GET', '/oauth/userinfo'],
    ['POST', '/oauth/userinfo', 'access_token=x'],
    ['POST', '/api/v1/oauth/token', ''],
    ['POST', '/api/v1/oauth/token', 'grant_type=__proto__'],
    ['POST', '/api/v1/oauth/token', 'client_id=%00&grant_type=authorization_code'],
    ['POST', '/api/v1/oauth/token', 'grant_type=authorization_code&grant_type=authorization_code'],
    ['POST', '/oauth/token', 'grant_type=password&username=a&password=b'],
    ['POST', '/oauth/introspect', 'token=x'],
    ['POST', '/oauth/revoke', 'token=x'],
    ['POST', '/oauth/par', 'client_id=x'],
    ['POST', '/oauth/device', 'client_id=x'],
    ['GET', '/oauth/clients/register/unknown'],
    ['PUT', '/oauth/clients/register/unknown', '{}'],
    ['DELETE', '/oauth/clients/register/unknown'],
    ['GET', '/%'],
    ['GET', '/..%2f..%2fetc/passwd'],
    ['GET', '/login?return_to=//evil.example&app=x&proof=y'],
    ['GET', '/setup?token=unknown'],
    ['POST', '/login', 'csrf=x&email=a&password=b'],
    ['PATCH', '/login'],
  ])('do not fail with a server error: %s %s %s', async (method, path, body) => {
    expect(await send(method, path, body)).toBeLessThan(500);
  });

  it.each<[string, Record<string, string>, string]>([
    ['Basic credentials', { authorization: `Basic ${btoa('a%00b:x')}` }, ''],
    [
      'a client assertion',
      {},
      `client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=${NUL_ASSERTION}`,
    ],
  ])(
    'with a NUL character in %s are rejected and not logged as a server error',
    async (_place, headers, credentials) => {
      server.lines.length = 0;
      const body = `grant_type=client_credentials&${credentials}`;
      const response = await sendRequest(server, 'POST', '/oauth/token', { ...headers, 'content-type': FORM }, body);
      expect([response.status, response.json.error]).toEqual([400, 'invalid_request']);
      expect(server.lines.filter((line) => JSON.parse(line).level === 'error')).toEqual([]);
    },
  );

  it.each<[string, Record<string, string>]>([
    ['a NUL character in state', { state: 'a\u0000b' }],
    ['an unknown request_uri', { request_uri: 'urn:ietf:params:oauth:request_uri:unknown' }],
    ['an unknown resource and invalid claims', { resource: 'x', claims: '{' }],
  ])('of a known client do not fail with a server error: %s', async (_case, params) => {
    const { pathname, search } = new URL(authorizeUrl(server, client, pkce().challenge, params));
    expect(await send('GET', `${pathname}${search}`)).toBeLessThan(500);
  });

  it.each([
    '/api/v1/oauth/token',
    '/oauth/token',
    '/oauth/introspect',
    '/oauth/revoke',
    '/oauth/par',
    '/oauth/device',
    '/oauth/authorize',
    '/oauth/logout',
    '/oauth/clients/register',
    '/device',
    '/login',
    '/register',
  ])('of 10 MB are rejected with 413, with and without a content length: %s', async (path) => {
    const type = path === '/oauth/clients/register' ? 'application/json' : FORM;
    expect(await postOversizedBody(server.port, path, { 'content-type': type, 'content-length': '10000000' })).toBe(
      413,
    );
    expect(await postOversizedBody(server.port, path, { 'content-type': type })).toBe(413);
  });
});

/**
 * Posts 10 MB and returns the status. The server can respond and close the connection before it has
 * received the whole body.
 */
function postOversizedBody(port: number, path: string, headers: Record<string, string>): Promise<number> {
  const body = Buffer.alloc(10_000_000, 'x');
  return new Promise((resolve, reject) => {
    let status = 0;
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
      status = response.statusCode!;
      response.resume();
      resolve(status);
    });
    outgoing.on('error', (error) => (status ? undefined : reject(error)));
    outgoing.write(body.subarray(0, 5_000_000));
    outgoing.end(body.subarray(5_000_000));
  });
}
