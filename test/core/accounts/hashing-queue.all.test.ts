// The hashing queue: its concurrency, its limit, and its effect on other requests.
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcrypt';
import { afterEach, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { createHashingQueue, hashConcurrency } from '../../../src/core/accounts/hashing-queue.js';
import { Browser, formsOf } from '../../support/browser.js';
import { openPasswords } from '../../support/passwords.js';
import { callApi, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const IMPORTED = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';

const LIMITS = { maxWaiting: 10, maxWaitingPerNetwork: 10 };

describe('the hashing queue', () => {
  it.each([
    [1, 1, 1],
    [2, 1, 2],
    [3, 1, 3],
    [64, 1, 3], // the fourth thread of the pool is for files and DNS
    [4, 2, 2],
    [4, 8, 1],
    [64, 64, 1],
  ])('runs hashes on %i cores with %i processes: %i at once', (cores, processes, atOnce) => {
    expect(hashConcurrency(cores, processes)).toBe(atOnce);
  });

  it('runs jobs in order, limits concurrency, and rejects jobs when it is full', async () => {
    const queue = createHashingQueue({ maxConcurrent: 2, maxWaiting: 3, maxWaitingPerNetwork: 3 });
    let [running, most] = [0, 0];
    const order: number[] = [];
    const job = (n: number) => () =>
      sleep(5).then(() => {
        order.push(n);
      });
    const counted = (n: number) => async () => {
      running += 1;
      most = Math.max(most, running);
      await job(n)();
      running -= 1;
    };
    const results = await Promise.allSettled([0, 1, 2, 3, 4, 5, 6].map((n) => queue.run(systemMeta, counted(n))));
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(results.map(({ status }) => status).slice(5)).toEqual(['rejected', 'rejected']);
  });

  it('continues after a job fails', async () => {
    const queue = createHashingQueue({ maxConcurrent: 1, ...LIMITS });
    const failing = queue.run(systemMeta, () => Promise.reject(new Error('out of memory')));
    const next = queue.run(systemMeta, async () => 'done');
    await expect(failing).rejects.toThrow('out of memory');
    expect(await next).toBe('done');
    expect(await queue.run(systemMeta, async () => 'again')).toBe('again');
  });

  it('leaves a thread for files, whatever the number of cores', async () => {
    const queue = createHashingQueue({ maxConcurrent: hashConcurrency(64, 1), ...LIMITS });
    let hashing = true;
    const hashes = Promise.all(Array.from({ length: 6 }, () => queue.run(systemMeta, () => bcrypt.hash('x', 11)))).then(
      () => {
        hashing = false;
      },
    );
    for (let i = 0; i < 10; i += 1) await stat('.');
    expect(hashing).toBe(true);
    await hashes;
  });
});

describe('password verification', () => {
  it.each([
    ['an unknown account', null],
    ['an imported hash', IMPORTED],
    ['an unsupported hash', '$argon2id$v=19$m=9'],
  ])('queues %s, fails with 503 when the queue is full, and recovers', async (_case, stored) => {
    const passwords = openPasswords();
    const results = await Promise.allSettled(Array.from({ length: 300 }, () => passwords.verify('x', stored)));
    const rejected = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(rejected.length).toBeGreaterThan(100);
    expect(rejected.length).toBeLessThan(300);
    expect(rejected[0]).toMatchObject({
      status: 503,
      code: 'temporarily_unavailable',
      retryAfterSeconds: expect.any(Number),
    });
    expect(await passwords.verify('x', stored)).toBe(false);
  });
});

describe('sign-in under load', () => {
  let server: TestServer;
  afterEach(() => server.close());

  /** Returns the method, body and headers of a sign-in, each from another IP address. */
  async function openSignInForm() {
    server = await startServer({ settings: { PASSWORD_HASH_COST: '9', TRUSTED_PROXIES: '127.0.0.0/8,::1' } });
    const browser = new Browser(server.origin);
    const { html } = await browser.open('/login');
    const { fields } = formsOf(html)[0]!;
    const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
    return (n: number, email: string, password: string) => ({
      method: 'POST',
      body: new URLSearchParams({ ...fields, email, password }).toString(),
      headers: {
        cookie,
        accept: 'text/html',
        'content-type': 'application/x-www-form-urlencoded',
        'x-forwarded-for': `10.0.${n >> 8}.${n & 255}`,
      },
    });
  }

  it('returns 503 with Retry-After when the queue is full, and recovers', {
    timeout: 60_000,
  }, async () => {
    const signIn = await openSignInForm();
    const { email } = await server.account();
    const postForm = (n: number, address: string, password: string) => {
      const { body, headers } = signIn(n, address, password);
      return sendRequest(server, 'POST', '/login', headers, body);
    };
    const postJson = (n: number) =>
      callApi(server, 'POST', '/auth/login-json', {
        headers: { 'x-forwarded-for': `10.1.0.${n}` },
        body: { username: `unknown-json${n}@example.com`, password: 'a wrong password' },
      });
    const responses = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        n % 2 ? postJson(n) : postForm(n, `unknown${n}@example.com`, 'a wrong password'),
      ),
    );
    const rejected = responses.filter(({ status }) => status === 503);
    expect(rejected.length).toBeGreaterThan(20);
    expect(responses.filter(({ status }) => status === 401)).toHaveLength(200 - rejected.length);
    for (const { headers } of rejected) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    const json = rejected.filter(({ headers }) => headers['content-type']?.includes('json'));
    expect(json.length).toBeGreaterThan(0);
    expect(json[0]!.json).toMatchObject({ error: 'temporarily_unavailable' });
    expect((await postForm(999, email, PASSWORD)).status).toBe(303);
  });

  it('serves another network in its turn while one network fills the queue', { timeout: 60_000 }, async () => {
    const signIn = await openSignInForm();
    const { email } = await server.account();
    const served: number[] = [];
    const post = async (network: number, address: string, password: string) => {
      const { body, headers } = signIn(network, address, password);
      const { status } = await sendRequest(server, 'POST', '/login', headers, body);
      if (status !== 503) served.push(network);
      return status;
    };
    const flood = Array.from({ length: 95 }, (_, n) => post(1, `unknown${n}@example.com`, 'a wrong password'));
    const other = post(2, email, PASSWORD);
    expect(await other).toBe(303);
    const rejected = (await Promise.all(flood)).filter((status) => status === 503);
    expect(rejected.length).toBeGreaterThan(20);
    expect(served.length).toBeGreaterThan(20);
    expect(served.indexOf(2)).toBeLessThan(served.length / 2);
  });

  it('recovers after clients abort their requests', { timeout: 60_000 }, async () => {
    const signIn = await openSignInForm();
    const { email } = await server.account();
    const aborted = Array.from({ length: 120 }, (_, n) => {
      const { body, ...options } = signIn(n, `unknown${n}@example.com`, 'a wrong password');
      return new Promise<void>((resolve) => {
        const sent = request(`${server.origin}/login`, { ...options, agent: false });
        sent.once('error', () => resolve()).once('response', () => resolve());
        sent.end(body, () => setTimeout(() => sent.destroy(), 300));
      });
    });
    await Promise.all(aborted);
    for (let n = 0; ; n += 1) {
      const { body, headers } = signIn(1000 + n, email, PASSWORD);
      const { status } = await sendRequest(server, 'POST', '/login', headers, body);
      if (status === 303) break;
      expect(status).toBe(503);
      await sleep(100);
    }
    await server.core.audit.flush();
    const failed = await server.base.db.auditEvent.count({ where: { action: 'sign_in.failed' } });
    expect(failed).toBeGreaterThan(0);
    expect(failed).toBeLessThanOrEqual(120);
  });
});
