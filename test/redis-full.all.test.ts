// A server whose Redis has reached its `maxmemory`: it rejects writes, and evicts nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRedis, type Redis } from '../src/base/redis.js';
import { Browser } from './support/browser.js';
import { DEVICE_GRANT } from './support/device.js';
import { startRedis } from './support/redis-server.js';
import { authorizeUrl, isActive, obtainCode, pkce, REDIRECT_URI, redeemCode } from './support/relying-party.js';
import { postForm, sendJson, sendRequest } from './support/request.js';
import { PASSWORD, startServer, type TestServer } from './support/server.js';
import { stores } from './support/stores.js';

const FILLER = 'x'.repeat(64 * 1024);

describe('a server whose Redis is out of memory', () => {
  let redisServer: Awaited<ReturnType<typeof startRedis>>;
  let redis: Redis;
  let server: TestServer;
  const fillers: string[] = [];
  beforeAll(async () => {
    redisServer = await startRedis('--maxmemory', '4mb', '--maxmemory-policy', 'noeviction');
    redis = await openRedis(redisServer.url, { log: { info() {}, warn() {} } });
    const open = async () => ({ ...(await stores[0]!.open()), redisUrl: redisServer.url });
    server = await startServer({ store: { ...stores[0]!, open }, settings: { RATE_LIMIT_ANONYMOUS: '100000' } });
  });
  afterAll(async () => {
    await server.close();
    redis.disconnect();
    await redisServer.stop();
  });

  async function fill() {
    for (;;) {
      const key = `filler:${fillers.length}`;
      try {
        await redis.set(key, FILLER);
        fillers.push(key);
      } catch (error) {
        expect((error as Error).message).toMatch(/^OOM /);
        await redis.config('SET', 'maxmemory', '3mb'); // for writes of any size
        return;
      }
    }
  }

  const readiness = async () => (await sendRequest(server, 'GET', '/readyz')).status;

  test('responds 503 where it must write, keeps what is stored, and recovers', async () => {
    const { email } = await server.account();
    const client = await server.client({ grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT] });
    const obtained = await obtainCode(server, client, email);
    const earlier = await redeemCode(server, client, await obtainCode(server, client, email));
    const accessToken = earlier.body.access_token!;
    const browser = new Browser(server.origin);
    const form = await browser.open('/login');
    expect(await readiness()).toBe(200);

    await fill();
    const start = new URL(authorizeUrl(server, client, pkce().challenge));
    const registration = { redirect_uris: [REDIRECT_URI] };
    const programs = {
      readiness: await sendRequest(server, 'GET', '/readyz'),
      login: await sendJson(server, 'POST', '/api/v1/auth/login', { body: { email, password: PASSWORD } }),
      par: await postForm(server, '/oauth/par', Object.fromEntries(start.searchParams), { client }),
      device: await postForm(server, '/oauth/device', { scope: 'openid' }, { client }),
      registration: await sendJson(server, 'POST', '/oauth/clients/register', { body: registration }),
    };
    for (const [name, { status, json, headers }] of Object.entries(programs)) {
      expect([name, status, json.error]).toEqual([name, 503, 'temporarily_unavailable']);
      expect(Number(headers['retry-after']), name).toBeGreaterThan(0);
    }
    const { status, body } = await redeemCode(server, client, obtained);
    expect([status, body.error]).toEqual([503, 'temporarily_unavailable']);
    for (const page of [await browser.open(start), await browser.submit(form, { email, password: PASSWORD })]) {
      expect([page.url.pathname, page.status]).toEqual([page.url.pathname, 503]);
    }
    expect(await isActive(server, accessToken)).toBe(true);
    expect((await sendRequest(server, 'GET', '/healthz')).status).toBe(200);

    await redis.unlink(fillers);
    expect(await readiness()).toBe(200);
    expect((await redeemCode(server, client, obtained)).status).toBe(200);
  });
});
