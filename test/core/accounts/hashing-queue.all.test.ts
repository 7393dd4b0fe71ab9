// The queue of hashes: how many at once, how many may wait, and that everything else goes on
// meanwhile.
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcrypt';
import { afterEach, describe, expect, it } from 'vitest';
import { createHashingQueue, hashConcurrency } from '../../../src/core/accounts/hashing-queue.js';
import { createPasswords } from '../../../src/core/accounts/passwords.js';
import { Browser, formsOf } from '../../support/browser.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const FOREIGN = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4';

describe('the queue', () => {
  it.each([
    [1, 1, 1],
    [2, 1, 2],
    [3, 1, 3],
    [64, 1, 3], // the fourth thread of the pool is for files and names
    [4, 2, 2],
    [4, 8, 1],
    [64, 64, 1],
  ])('on %i cores for %i processes lets %i hashes run at once', (cores, processes, atOnce) => {
    expect(hashConcurrency(cores, processes)).toBe(atOnce);
  });

  it('runs no more than so many at once, in their order, and refuses those beyond its bound', async () => {
    const queue = createHashingQueue(2, 3);
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
    const results = await Promise.allSettled([0, 1, 2, 3, 4, 5, 6].map((n) => queue.run(counted(n))));
    expect(most).toBe(2);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(results.map(({ status }) => status).slice(5)).toEqual(['rejected', 'rejected']);
  });

  it('gives the place of a job that fails to the next', async () => {
    const queue = createHashingQueue(1, 10);
    const failing = queue.run(() => Promise.reject(new Error('out of memory')));
    const next = queue.run(async () => 'done');
    await expect(failing).rejects.toThrow('out of memory');
    expect(await next).toBe('done');
    expect(await queue.run(async () => 'again')).toBe('again');
  });

  it('leaves a thread to files, whatever the number of cores', async () => {
    const queue = createHashingQueue(hashConcurrency(64, 1), 10);
    let hashing = true;
    const hashes = Promise.all(Array.from({ length: 6 }, () => queue.run(() => bcrypt.hash('x', 11)))).then(() => {
      hashing = false;
    });
    for (let i = 0; i < 10; i += 1) await stat('.');
    expect(hashing).toBe(true);
    await hashes;
  });
});

describe('verifying', () => {
  it.each([
    ['an unknown login', null],
    ['a hash of another system', FOREIGN],
    ['a hash that cannot be read', '$argon2id$v=19$m=9'],
  ])('%s passes the queue: refused beyond its bound, and it goes on afterwards', async (_what, stored) => {
    const passwords = createPasswords({ cost: 4 });
    const results = await Promise.allSettled(Array.from({ length: 300 }, () => passwords.verify('x', stored)));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused.length).toBeGreaterThan(100);
    expect(refused.length).toBeLessThan(300);
    expect(refused[0]).toMatchObject({
      status: 503,
      code: 'temporarily_unavailable',
      retryAfterSeconds: expect.any(Number),
    });
    expect(await passwords.verify('x', stored)).toBe(false);
  });
});

describe('signing in, when too many do so at once', () => {
  let server: TestServer;
  afterEach(() => server.close());

  /** Sends the form of the sign-in page from so many places. */
  async function openForm() {
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

  it('answers 503 with Retry-After beyond the bound, and signs people in again afterwards', {
    timeout: 60_000,
  }, async () => {
    const form = await openForm();
    const { email } = await server.account();
    const post = (n: number, address: string, password: string) =>
      fetch(`${server.origin}/login`, { ...form(n, address, password), redirect: 'manual' });
    const postJson = (n: number) =>
      fetch(`${server.origin}/api/v1/auth/login-json`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': `10.1.0.${n}` },
        body: JSON.stringify({ username: `somebody${n}@example.com`, password: 'a wrong password' }),
      });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        n % 2 ? postJson(n) : post(n, `nobody${n}@example.com`, 'a wrong password'),
      ),
    );
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThan(20);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(200 - refused.length);
    for (const { headers } of refused) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    const told = refused.filter(({ headers }) => headers.get('content-type')?.includes('json'));
    expect(told.length).toBeGreaterThan(0);
    expect(await told[0]!.json()).toMatchObject({ error: 'temporarily_unavailable' });
    expect((await post(999, email, PASSWORD)).status).toBe(303);
  });

  it('forgets those who do not wait for their answer', { timeout: 60_000 }, async () => {
    const form = await openForm();
    const { email } = await server.account();
    const gone = Array.from({ length: 120 }, (_, n) => {
      const { body, ...options } = form(n, `nobody${n}@example.com`, 'a wrong password');
      return new Promise<void>((resolve) => {
        const asked = request(`${server.origin}/login`, { ...options, agent: false });
        asked.once('error', () => resolve()).once('response', () => resolve());
        asked.end(body, () => setTimeout(() => asked.destroy(), 300));
      });
    });
    await Promise.all(gone);
    for (let n = 0; ; n += 1) {
      const { status } = await fetch(`${server.origin}/login`, {
        ...form(1000 + n, email, PASSWORD),
        redirect: 'manual',
      });
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
