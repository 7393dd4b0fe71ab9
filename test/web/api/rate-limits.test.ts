// The rate limits of the JSON API, per minute and kind of caller.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { logInWithCookies } from '../../support/api-cookies.js';
import type { TestClient } from '../../support/relying-party.js';
import { postForm, sendJson, sendRequest, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const ME = '/api/v1/auth/me';
const STATUS = '/api/v1/test-auth/auth-status';

const DEFAULT_LIMITS = { anonymous: 20, human: 200, agent: 1000, default: 100 };
const LOW_LIMITS = { anonymous: 3, human: 5, agent: 7, default: 4 };

const settings = {
  ...Object.fromEntries(
    Object.entries(LOW_LIMITS).map(([kind, limit]) => [`RATE_LIMIT_${kind.toUpperCase()}`, String(limit)]),
  ),
  TEST_AUTH: 'true',
  TRUSTED_PROXIES: '127.0.0.0/8, ::1',
};

let addresses = 0;
/** Returns an IP address that no request has used. */
const newAddress = () => `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses++ & 255}`;
const from = (address: string, more: Record<string, string> = {}) => ({ 'x-forwarded-for': address, ...more });
/** Returns `RateLimit-Limit`, `-Remaining` and `-Reset`; `NaN` for an absent header. */
const rateLimitOf = ({ headers }: TestResponse) =>
  ['limit', 'remaining', 'reset'].map((name) => Number(headers[`ratelimit-${name}`]));

/** Repeats a request until it is limited. Returns how many were allowed, and the 429 response. */
async function repeatUntilLimited(send: () => Promise<TestResponse>, maxRequests = 20) {
  for (let allowed = 0; allowed <= maxRequests; allowed += 1) {
    const response = await send();
    if (response.status === 429) return { allowed, limited: response };
  }
  throw new Error(`none of ${maxRequests} requests was limited`);
}

describe.each(stores)('the rate limits of the API on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings });
  });
  afterAll(() => server.close());

  const get = (headers: Record<string, string>, path = ME) => sendRequest(server, 'GET', path, headers);

  async function bearerOfNewUser() {
    const { email } = await server.account();
    return (await logInWithCookies(server, email, from(newAddress()))).bearer;
  }

  async function clientCredentialsToken(client: TestClient) {
    const params = {
      grant_type: 'client_credentials',
      resource: `${server.config.issuer}/api/v1`,
      scope: 'memory:read',
    };
    const { json } = await postForm(server, '/api/v1/oauth/token', params, { client });
    return String(json.access_token);
  }

  it('are reported in headers, and exceeding one is rejected with Retry-After', async () => {
    const address = newAddress();
    for (let left = LOW_LIMITS.anonymous - 1; left >= 0; left -= 1) {
      const [limit, remaining, reset] = rateLimitOf(await get(from(address)));
      expect([limit, remaining]).toEqual([LOW_LIMITS.anonymous, left]);
      expect(reset).toBeGreaterThan(0);
      expect(reset).toBeLessThanOrEqual(60);
    }
    const limited = await get(from(address));
    expect([limited.status, limited.json.error]).toEqual([429, 'rate_limited']);
    expect(rateLimitOf(limited).slice(0, 2)).toEqual([LOW_LIMITS.anonymous, 0]);
    expect(limited.headers['retry-after']).toBe(limited.headers['ratelimit-reset']);
    expect((await get(from(newAddress()))).status).toBe(401);
  });

  it('count a user by account, across addresses and sessions', async () => {
    const { email } = await server.account();
    const bearers: { authorization: string }[] = [];
    for (let n = 0; n < 2; n += 1) bearers.push((await logInWithCookies(server, email, from(newAddress()))).bearer);
    let n = 0;
    const { allowed, limited } = await repeatUntilLimited(() => get(from(newAddress(), bearers[n++ % 2])));
    expect(allowed).toBe(LOW_LIMITS.human);
    expect(rateLimitOf(limited)[0]).toBe(LOW_LIMITS.human);
    expect((await get(from(newAddress(), await bearerOfNewUser()))).status).toBe(200);
  });

  it('do not count authenticated requests against a shared address', async () => {
    const address = newAddress();
    const bearers = [await bearerOfNewUser(), await bearerOfNewUser(), await bearerOfNewUser()];
    for (const bearer of bearers)
      for (let n = 0; n < LOW_LIMITS.anonymous; n += 1) expect((await get(from(address, bearer))).status).toBe(200);
    expect(rateLimitOf(await get(from(address)))[1]).toBe(LOW_LIMITS.anonymous - 1);
  });

  it('count a machine by client, across addresses and tokens', async () => {
    const metadata = { grant_types: ['client_credentials'], redirect_uris: [], scope: 'memory:read' };
    const client = await server.client(metadata);
    const tokens = [await clientCredentialsToken(client), await clientCredentialsToken(client)];
    let n = 0;
    const { allowed, limited } = await repeatUntilLimited(() =>
      get(from(newAddress(), { authorization: `Bearer ${tokens[n++ % 2]}` }), STATUS),
    );
    expect(allowed).toBe(LOW_LIMITS.agent);
    expect(rateLimitOf(limited)[0]).toBe(LOW_LIMITS.agent);
  });

  it('count invalid tokens by address, which limits guessing', async () => {
    const address = newAddress();
    const guess = () => get(from(address, { authorization: `Bearer guess-${Math.random()}` }));
    expect((await repeatUntilLimited(guess)).allowed).toBe(LOW_LIMITS.default);
  });

  it('count logins and refreshes by address, even with a credential', async () => {
    const bearer = await bearerOfNewUser();
    const [loginAddress, refreshAddress] = [newAddress(), newAddress()];
    const logIn = () =>
      sendJson(server, 'POST', '/api/v1/auth/login-json', { headers: from(loginAddress, bearer), body: {} });
    expect((await repeatUntilLimited(logIn)).allowed).toBe(LOW_LIMITS.anonymous);
    const refresh = () => sendRequest(server, 'POST', '/api/v1/auth/refresh', from(refreshAddress, bearer));
    expect((await repeatUntilLimited(refresh)).allowed).toBe(LOW_LIMITS.default);
  });

  it('count the addresses of one IPv6 /64 network together', async () => {
    let n = 0;
    const { allowed } = await repeatUntilLimited(() => get(from(`2001:db8:1:2::${(n++).toString(16)}:${n}`)));
    expect(allowed).toBe(LOW_LIMITS.anonymous);
    expect((await get(from('2001:db8:1:3::1'))).status).toBe(401);
  });

  it('count an IPv4 address and its IPv6-mapped form together', async () => {
    const address = newAddress();
    for (let n = 0; n < LOW_LIMITS.anonymous; n += 1) await get(from(n % 2 ? address : `::ffff:${address}`));
    expect((await get(from(address))).status).toBe(429);
  });

  it('ignore forwarding headers of untrusted clients', async () => {
    const strictServer = await startServer({ store, settings: { ...settings, TRUSTED_PROXIES: '' } });
    const send = () =>
      sendRequest(strictServer, 'GET', ME, { ...from(newAddress()), forwarded: `for=${newAddress()}` });
    expect((await repeatUntilLimited(send)).allowed).toBe(LOW_LIMITS.anonymous);
    await strictServer.close();
  });

  it('are exact for 40 concurrent requests', async () => {
    const address = newAddress();
    const responses = await Promise.all(Array.from({ length: 40 }, () => get(from(address))));
    expect(responses.filter(({ status }) => status !== 429)).toHaveLength(LOW_LIMITS.anonymous);
  });

  it('reject a request before its handler runs', async () => {
    const address = newAddress();
    for (let n = 0; n < LOW_LIMITS.anonymous; n += 1) await get(from(address));
    const before = await server.base.db.account.count();
    const body = { email: `late-${address}@example.com`, password: PASSWORD };
    const response = await sendJson(server, 'POST', '/api/v1/auth/register', { headers: from(address), body });
    expect(response.status).toBe(429);
    expect(await server.base.db.account.count()).toBe(before);
  });

  it.each(['/.well-known/openid-configuration', '/oauth/jwks', '/login', '/', '/healthz', '/api/openapi.json'])(
    'do not apply to %s',
    async (path) => {
      const address = newAddress();
      for (let n = 0; n <= LOW_LIMITS.anonymous; n += 1) await get(from(address));
      for (let n = 0; n < LOW_LIMITS.anonymous + 2; n += 1) {
        const response = await get(from(address), path);
        expect(response.status).toBe(200);
        expect(rateLimitOf(response)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
      }
    },
  );
});

describe.each(stores.filter(({ name }) => name !== 'SQLite'))('the rate limits of two servers on $name', (store) => {
  it('are shared', async () => {
    const first = await startServer({ store, settings });
    const second = await startServer({ store, sharedWith: first, settings });
    let n = 0;
    const getFromEither = (headers: Record<string, string>) =>
      sendRequest(n++ % 2 ? first : second, 'GET', ME, headers);
    const address = newAddress();
    expect((await repeatUntilLimited(() => getFromEither(from(address)))).allowed).toBe(LOW_LIMITS.anonymous);
    const { bearer } = await logInWithCookies(first, (await first.account()).email, from(newAddress()));
    const { allowed } = await repeatUntilLimited(() => getFromEither(from(newAddress(), bearer)));
    expect(allowed).toBe(LOW_LIMITS.human);
    await second.close();
    await first.close();
  });
});

describe('the settings RATE_LIMIT_*', () => {
  it('have the documented defaults', () => {
    expect(readConfig({}).rateLimits).toEqual({ ...DEFAULT_LIMITS, validate: 6000 });
  });

  it('disable the limits with 0', async () => {
    const server = await startServer(); // the settings of the test server are 0
    for (let n = 0; n < 30; n += 1) {
      const response = await sendRequest(server, 'GET', ME);
      expect([response.status, response.headers['ratelimit-limit']]).toEqual([401, undefined]);
    }
    await server.close();
  });
});
