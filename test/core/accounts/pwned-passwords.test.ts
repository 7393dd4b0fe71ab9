// Stolen passwords, asked for at a range API of this test: what goes out, and what happens when
// nothing good comes back.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../../src/base/log.js';
import { createPwnedPasswords } from '../../../src/core/accounts/pwned-passwords.js';
import { Browser } from '../../support/browser.js';
import { type HttpServer, openHttpServer } from '../../support/http-server.js';
import { PASSWORD, startServer } from '../../support/server.js';

const STOLEN = 'correct horse battery staple';
const HASH = createHash('sha1').update(STOLEN).digest('hex').toUpperCase();
const [PREFIX, SUFFIX] = [HASH.slice(0, 5), HASH.slice(5)];
const OTHER = '0'.repeat(35);

let httpServer: HttpServer;
let answer: (res: ServerResponse) => unknown;
let asked: IncomingMessage[];
let lines: string[];
beforeEach(async () => {
  asked = [];
  lines = [];
  httpServer = await openHttpServer((req, res) => {
    asked.push(req);
    return answer(res);
  });
});
afterEach(() => httpServer.close());

const rows =
  (...all: string[]) =>
  (res: ServerResponse) =>
    void res.end(all.join('\r\n'));
const open = (url: string | undefined = `${httpServer.origin}/range/`) =>
  createPwnedPasswords({ url, log: createLog('info', { write: (line) => lines.push(line) }) });

describe('the list of stolen passwords', () => {
  it('is asked for five characters of a hash, with padding, and nothing else', async () => {
    answer = rows(`${OTHER}:3`, `${SUFFIX}:42`);
    expect(await open().has(STOLEN)).toBe(true);
    expect(asked).toHaveLength(1);
    const { method, url, headers, rawHeaders } = asked[0]!;
    expect(`${method} ${url}`).toBe(`GET /range/${PREFIX}`);
    expect(headers['add-padding']).toBe('true');
    expect(rawHeaders.join()).not.toContain(SUFFIX.slice(0, 5));
    expect(lines).toEqual([]);
  });

  it.each([
    ['has other hashes only', () => rows(`${OTHER}:3`)],
    ['has it as padding only', () => rows(`${SUFFIX}:0`, `${OTHER}:1`)],
    ['has nothing', () => rows()],
  ])('does not count where it %s', async (_what, make) => {
    answer = make();
    expect(await open().has(STOLEN)).toBe(false);
    expect(lines).toEqual([]);
  });

  it('counts in small letters too', async () => {
    answer = rows(`${SUFFIX.toLowerCase()}:1`);
    expect(await open().has(STOLEN)).toBe(true);
  });

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['fails', (res) => res.writeHead(500).end(`${SUFFIX}:42`)],
    ['limits', (res) => res.writeHead(429, { 'retry-after': '2' }).end()],
    ['sends elsewhere', (res) => res.writeHead(302, { location: `${httpServer.origin}/elsewhere` }).end()],
    ['talks nonsense', rows('<html>Sign in to the hotel network</html>')],
    ['talks half nonsense', rows(`${SUFFIX}:42`, 'and more')],
    ['counts nonsense', rows(`${SUFFIX}:many`)],
    ['hangs up', (res) => res.destroy()],
    ['answers without end', (res) => flood(res)],
    ['packs its answer', (res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
  ])('that %s lets the password pass, and this is logged without it', async (_what, misbehave) => {
    answer = misbehave;
    expect(await open().has(STOLEN)).toBe(false);
    expect(asked).toHaveLength(1);
    expectLogged();
  });

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['is silent', () => new Promise(() => {})],
    ['stops in the middle', (res) => new Promise(() => res.write(`${SUFFIX}:42\r\n`))],
    ['drips', (res) => new Promise(() => setInterval(() => res.write(`${OTHER}:1\r\n`), 200).unref())],
  ])('that %s is waited for two seconds at most', async (_what, misbehave) => {
    answer = misbehave;
    const began = performance.now();
    expect(await open().has(STOLEN)).toBe(false);
    expect(performance.now() - began).toBeLessThan(4000);
    expectLogged();
  });

  it('that is not there lets the password pass', async () => {
    const gone = await openHttpServer(() => {});
    await gone.close();
    expect(await open(`${gone.origin}/range/`).has(STOLEN)).toBe(false);
    expectLogged();
  });

  it('is not asked when there is none', async () => {
    expect(await createPwnedPasswords({ url: undefined, log: createLog('info') }).has(STOLEN)).toBe(false);
    expect(asked).toEqual([]);
  });

  function expectLogged(): void {
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"level":"warn"');
    for (const secret of [STOLEN, HASH, SUFFIX, PREFIX, `/range/`]) expect(lines[0]).not.toContain(secret);
  }

  /** More than any range has, for as long as somebody reads. */
  function flood(res: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      res.once('close', resolve);
      const row = `${OTHER}:1\r\n`.repeat(1000);
      const more = () => {
        while (!res.destroyed && res.write(row)) {}
      };
      res.on('drain', more);
      more();
    });
  }
});

describe('a server that asks for stolen passwords', () => {
  it('refuses them where one is chosen, and never asks when somebody signs in', async () => {
    answer = rows(`${SUFFIX}:42`);
    const settings = { PWNED_PASSWORDS: 'on', PWNED_PASSWORDS_URL: `${httpServer.origin}/range` };
    const server = await startServer({ settings });
    try {
      const browser = new Browser(server.origin);
      const form = await browser.open('/register');
      const refused = await browser.submit(form, { name: 'Jane', email: 'jane@example.com', password: STOLEN });
      expect(refused.html).toContain('appeared in a data breach');
      expect(await server.core.accounts.findByEmail('jane@example.com')).toBeNull();
      expect(asked).toHaveLength(1);

      const { email } = await server.account();
      expect(asked).toHaveLength(2);
      const arriving = new Browser(server.origin);
      expect((await arriving.signIn(email, STOLEN)).status).toBe(401);
      expect((await arriving.signIn(email, PASSWORD)).status).toBe(200);
      expect(asked).toHaveLength(2);
    } finally {
      await server.close();
    }
  });

  it('asks nobody unless it is told to, nor about what the rules refuse', async () => {
    answer = rows();
    const server = await startServer({ settings: { PWNED_PASSWORDS_URL: `${httpServer.origin}/range/` } });
    await server.account();
    await server.close();
    const asking = await startServer({
      settings: { PWNED_PASSWORDS: 'on', PWNED_PASSWORDS_URL: `${httpServer.origin}/range/` },
    });
    expect(await asking.core.passwords.error('password', 'jane@example.com')).toContain('too common');
    await asking.close();
    expect(asked).toEqual([]);
  });
});
