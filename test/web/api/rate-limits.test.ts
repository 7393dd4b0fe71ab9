// How often somebody may ask the JSON API in a minute: by what they are, wherever they come from,
// counted by all processes together.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { logInWithCookies } from '../../support/api-cookies.js';
import { FORM, sendRequest, type TestResponse } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const ME = '/api/v1/auth/me';
const STATUS = '/api/v1/test-auth/auth-status';

/** The limits as they are where nothing is set; a test house has none otherwise. */
const CONTRACT = { anonymous: 20, human: 200, agent: 1000, default: 100 };
const FEW = { anonymous: 3, human: 5, agent: 7, default: 4 };

const limitsOf = (points: typeof CONTRACT) => ({
  ...Object.fromEntries(Object.entries(points).map(([kind, n]) => [`RATE_LIMIT_${kind.toUpperCase()}`, String(n)])),
  TEST_AUTH: 'true',
  TRUSTED_PROXIES: '127.0.0.0/8, ::1',
});

let addresses = 0;
/** An address that nobody came from before. */
const newAddress = () => `10.${(addresses >> 16) & 255}.${(addresses >> 8) & 255}.${addresses++ & 255}`;
const from = (address: string, more: Record<string, string> = {}) => ({ 'x-forwarded-for': address, ...more });
const told = ({ headers }: TestResponse) =>
  ['limit', 'remaining', 'reset'].map((name) => Number(headers[`ratelimit-${name}`]));

/** What each answer says it is; every limit is tried by asking until the first no. */
async function askUntilRefused(once: () => Promise<TestResponse>, atMost: number) {
  for (let passed = 0; passed <= atMost; passed += 1) {
    const answer = await once();
    if (answer.status === 429) return { passed, refused: answer };
  }
  throw new Error(`${atMost} requests, and none was refused`);
}

describe.each(stores)('the limits of the API on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: limitsOf(FEW) });
  });
  afterAll(() => server.close());

  const get = (headers: Record<string, string>, path = ME) => sendRequest(server, 'GET', path, headers);

  async function person() {
    const { email } = await server.account();
    const login = await logInWithCookies(server, email, from(newAddress()));
    return login.bearer;
  }

  it('say how far they are spent, and refuse one too many with the time to wait', async () => {
    const address = newAddress();
    for (let left = FEW.anonymous - 1; left >= 0; left -= 1) {
      const [limit, remaining, reset] = told(await get(from(address)));
      expect([limit, remaining]).toEqual([FEW.anonymous, left]);
      expect(reset).toBeGreaterThan(0);
      expect(reset).toBeLessThanOrEqual(60);
    }
    const refused = await get(from(address));
    expect([refused.status, refused.json.error]).toEqual([429, 'rate_limited']);
    expect(told(refused).slice(0, 2)).toEqual([FEW.anonymous, 0]);
    expect(refused.headers['retry-after']).toBe(refused.headers['ratelimit-reset']);
    expect((await get(from(newAddress()))).status).toBe(401);
  });

  it('count a person by their account, from whatever address and login', async () => {
    const { email } = await server.account();
    const logins: { authorization: string }[] = [];
    for (let n = 0; n < 2; n += 1) logins.push((await logInWithCookies(server, email, from(newAddress()))).bearer);
    let n = 0;
    const { passed, refused } = await askUntilRefused(() => get(from(newAddress(), logins[n++ % 2])), 20);
    expect(passed).toBe(FEW.human);
    expect(told(refused)[0]).toBe(FEW.human);
    expect((await get(from(newAddress(), await person()))).status).toBe(200);
  });

  it('do not count what a person asks against the address that others share', async () => {
    const address = newAddress();
    const bearers = [await person(), await person(), await person()];
    for (const bearer of bearers)
      for (let n = 0; n < FEW.anonymous; n += 1) expect((await get(from(address, bearer))).status).toBe(200);
    expect(told(await get(from(address)))[1]).toBe(FEW.anonymous - 1);
  });

  it('count an agent by its client', async () => {
    const client = await server.client({
      grant_types: ['client_credentials'],
      redirect_uris: [],
      scope: 'memory:read',
    });
    const tokens = [await machineToken(client), await machineToken(client)];
    let n = 0;
    const { passed, refused } = await askUntilRefused(
      () => get(from(newAddress(), { authorization: `Bearer ${tokens[n++ % 2]}` }), STATUS),
      20,
    );
    expect(passed).toBe(FEW.agent);
    expect(told(refused)[0]).toBe(FEW.agent);
  });

  async function machineToken({ id, secret }: { id: string; secret: string }) {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      resource: `${server.config.issuer}/api/v1`,
      scope: 'memory:read',
    });
    const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
    const { json } = await sendRequest(
      server,
      'POST',
      '/api/v1/oauth/token',
      { 'content-type': FORM, authorization },
      `${body}`,
    );
    return String(json.access_token);
  }

  it('count bad tokens by the address, so that nobody can try them for ever', async () => {
    const address = newAddress();
    const { passed } = await askUntilRefused(
      () => get(from(address, { authorization: `Bearer guess-${Math.random()}` })),
      20,
    );
    expect(passed).toBe(FEW.default);
  });

  it('count logins and refreshes by the address, whatever they carry', async () => {
    const address = newAddress();
    const bearer = await person();
    const login = () =>
      sendRequest(
        server,
        'POST',
        '/api/v1/auth/login-json',
        from(address, { 'content-type': 'application/json', ...bearer }),
        '{}',
      );
    expect((await askUntilRefused(login, 20)).passed).toBe(FEW.anonymous);
    const other = newAddress();
    const refresh = () => sendRequest(server, 'POST', '/api/v1/auth/refresh', from(other, bearer));
    expect((await askUntilRefused(refresh, 20)).passed).toBe(FEW.default);
  });

  it('take a network of IPv6 for one address, and the next one for another', async () => {
    let n = 0;
    const { passed } = await askUntilRefused(() => get(from(`2001:db8:1:2::${(n++).toString(16)}:${n}`)), 20);
    expect(passed).toBe(FEW.anonymous);
    expect((await get(from('2001:db8:1:3::1'))).status).toBe(401);
    const four = newAddress();
    for (let i = 0; i < FEW.anonymous; i += 1) await get(from(i % 2 ? four : `::ffff:${four}`));
    expect((await get(from(four))).status).toBe(429);
  });

  it('cannot be dodged by headers of a stranger', async () => {
    const strict = await startServer({ store, settings: { ...limitsOf(FEW), TRUSTED_PROXIES: '' } });
    const once = () => sendRequest(strict, 'GET', ME, { ...from(newAddress()), forwarded: `for=${newAddress()}` });
    expect((await askUntilRefused(once, 20)).passed).toBe(FEW.anonymous);
    await strict.close();
  });

  it('hold although 40 come at once', async () => {
    const address = newAddress();
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(from(address))));
    expect(answers.filter(({ status }) => status !== 429)).toHaveLength(FEW.anonymous);
  });

  it('stand before the handler: what is refused has done nothing', async () => {
    const address = newAddress();
    for (let n = 0; n < FEW.anonymous; n += 1) await get(from(address));
    const before = await server.base.db.account.count();
    const body = JSON.stringify({ email: `late-${address}@example.com`, password: 'correct horse battery' });
    const headers = from(address, { 'content-type': 'application/json' });
    expect((await sendRequest(server, 'POST', '/api/v1/auth/register', headers, body)).status).toBe(429);
    expect(await server.base.db.account.count()).toBe(before);
  });

  it('leave alone what everybody reads, and the pages', async () => {
    const address = newAddress();
    for (let n = 0; n <= FEW.anonymous; n += 1) await get(from(address));
    for (const path of [
      '/.well-known/openid-configuration',
      '/oauth/jwks',
      '/login',
      '/',
      '/healthz',
      '/api/openapi.json',
    ])
      for (let n = 0; n < FEW.anonymous + 2; n += 1) {
        const answer = await get(from(address), path);
        expect([path, answer.status]).toEqual([path, 200]);
        expect(told(answer)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
      }
  });
});

describe.each(stores.filter(({ name }) => name !== 'SQLite'))('two houses on $name', (store) => {
  it('count together', async () => {
    const one = await startServer({ store, settings: limitsOf(FEW) });
    const other = await startServer({ store, sharedWith: one, settings: limitsOf(FEW) });
    const address = newAddress();
    let n = 0;
    const { passed } = await askUntilRefused(() => sendRequest(n++ % 2 ? one : other, 'GET', ME, from(address)), 20);
    expect(passed).toBe(FEW.anonymous);
    const { bearer } = await logInWithCookies(one, (await one.account()).email, from(newAddress()));
    const { passed: asked } = await askUntilRefused(
      () => sendRequest(n++ % 2 ? one : other, 'GET', ME, from(newAddress(), bearer)),
      20,
    );
    expect(asked).toBe(FEW.human);
    await other.close();
    await one.close();
  });
});

describe('where nothing is set', () => {
  it('the limits are those of the contract', () => {
    expect(readConfig({}).rateLimits).toEqual({ ...CONTRACT, validate: 6000 });
  });

  it('0 means none', async () => {
    const server = await startServer();
    for (let n = 0; n < 30; n += 1) {
      const answer = await sendRequest(server, 'GET', ME);
      expect([answer.status, answer.headers['ratelimit-limit']]).toEqual([401, undefined]);
    }
    await server.close();
  });
});
