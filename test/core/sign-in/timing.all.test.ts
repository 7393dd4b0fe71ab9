// Response times must not reveal which e-mail addresses have an account.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Browser, formsOf } from '../../support/browser.js';
import { startServer, type TestServer } from '../../support/server.js';

const TRIALS = 200;
const TOLERANCE = 0.05;

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ settings: { PASSWORD_HASH_COST: '12', TRUSTED_PROXIES: '127.0.0.1' } });
});
afterAll(() => server.close());

const median = (times: number[]) => [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

it('a sign-in takes as long for an unknown address as for a wrong password', { timeout: 240_000 }, async () => {
  const browser = new Browser(server.origin);
  const page = await browser.open('/login');
  const { fields } = formsOf(page.html)[0]!;
  const cookie = [...browser.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  // Several accounts, so that none reaches its limit of attempts.
  const known: string[] = [];
  for (let n = 0; n < 4; n += 1) known.push((await server.account()).email);

  async function time(email: string, n: number): Promise<number> {
    const body = new URLSearchParams({ ...fields, email, password: 'a wrong password' });
    const started = performance.now();
    const response = await fetch(`${server.origin}/login`, {
      method: 'POST',
      body,
      redirect: 'manual',
      headers: { cookie, accept: 'text/html', 'x-forwarded-for': `10.${n % 2}.${n >> 8}.${n & 255}` },
    });
    await response.text();
    const elapsed = performance.now() - started;
    expect(response.status).toBe(401);
    return elapsed;
  }

  const times: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] };
  for (let n = -5; n < TRIALS; n += 1) {
    const at = n + 5;
    const pair = {
      known: () => time(known[at % known.length]!, 2 * at),
      unknown: () => time(`unknown${at % known.length}@example.com`, 2 * at + 1),
    };
    // Alternating, so that warm-up affects both alike.
    for (const kind of at % 2 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)) {
      const elapsed = await pair[kind]();
      if (n >= 0) times[kind].push(elapsed);
    }
  }
  const [a, b] = [median(times.known), median(times.unknown)];
  expect(Math.abs(a - b) / Math.max(a, b), `known ${a} ms, unknown ${b} ms`).toBeLessThan(TOLERANCE);
});
