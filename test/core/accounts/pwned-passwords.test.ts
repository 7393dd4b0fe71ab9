// The lookup of breached passwords at a fake range API: requests, responses and failures.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../../src/base/log.js';
import { createPwnedPasswords } from '../../../src/core/accounts/pwned-passwords.js';
import { Browser } from '../../support/browser.js';
import { type HttpServer, openHttpServer } from '../../support/http-server.js';
import { PASSWORD, startServer } from '../../support/server.js';

const BREACHED = 'correct horse battery staple';
const HASH = createHash('sha1').update(BREACHED).digest('hex').toUpperCase();
const [PREFIX, SUFFIX] = [HASH.slice(0, 5), HASH.slice(5)];
const OTHER = '0'.repeat(35);

let httpServer: HttpServer;
let respond: (res: ServerResponse) => unknown;
let requests: IncomingMessage[];
let lines: string[];
beforeEach(async () => {
  requests = [];
  lines = [];
  httpServer = await openHttpServer((req, res) => {
    requests.push(req);
    return respond(res);
  });
});
afterEach(() => httpServer.close());

const rows =
  (...all: string[]) =>
  (res: ServerResponse) =>
    void res.end(all.join('\r\n'));
const createLookup = (url: string | undefined = `${httpServer.origin}/range/`) =>
  createPwnedPasswords({ url, log: createLog('info', { write: (line) => lines.push(line) }) });

describe('the lookup of breached passwords', () => {
  it('sends five characters of the hash, asks for padding, and sends nothing else', async () => {
    respond = rows(`${OTHER}:3`, `${SUFFIX}:42`);
    expect(await createLookup().has(BREACHED)).toBe(true);
    expect(requests).toHaveLength(1);
    const { method, url, headers, rawHeaders } = requests[0]!;
    expect(`${method} ${url}`).toBe(`GET /range/${PREFIX}`);
    expect(headers['add-padding']).toBe('true');
    expect(rawHeaders.join()).not.toContain(SUFFIX.slice(0, 5));
    expect(lines).toEqual([]);
  });

  it.each([
    ['contains only other hashes', () => rows(`${OTHER}:3`)],
    ['contains it only as padding', () => rows(`${SUFFIX}:0`, `${OTHER}:1`)],
    ['is empty', () => rows()],
  ])('allows the password if the response %s', async (_case, make) => {
    respond = make();
    expect(await createLookup().has(BREACHED)).toBe(false);
    expect(lines).toEqual([]);
  });

  it('accepts hashes in lowercase', async () => {
    respond = rows(`${SUFFIX.toLowerCase()}:1`);
    expect(await createLookup().has(BREACHED)).toBe(true);
  });

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['returns 500', (res) => res.writeHead(500).end(`${SUFFIX}:42`)],
    ['limits requests', (res) => res.writeHead(429, { 'retry-after': '2' }).end()],
    ['redirects', (res) => res.writeHead(302, { location: `${httpServer.origin}/other` }).end()],
    ['returns HTML', rows('<html>Sign in to the hotel network</html>')],
    ['returns an invalid row', rows(`${SUFFIX}:42`, 'and more')],
    ['returns an invalid count', rows(`${SUFFIX}:many`)],
    ['closes the connection', (res) => res.destroy()],
    ['returns an endless response', (res) => flood(res)],
    ['compresses its response', (res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end('x')],
  ])('allows the password, and logs a warning that does not reveal it, if the service %s', async (_case, fail) => {
    respond = fail;
    expect(await createLookup().has(BREACHED)).toBe(false);
    expect(requests).toHaveLength(1);
    expectLogged();
  });

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['does not respond', () => new Promise(() => {})],
    ['stops in the middle of the response', (res) => new Promise(() => res.write(`${SUFFIX}:42\r\n`))],
    [
      'sends the response slowly',
      (res) => new Promise(() => setInterval(() => res.write(`${OTHER}:1\r\n`), 200).unref()),
    ],
  ])('gives up after two seconds if the service %s', async (_case, fail) => {
    respond = fail;
    const began = performance.now();
    expect(await createLookup().has(BREACHED)).toBe(false);
    expect(performance.now() - began).toBeLessThan(4000);
    expectLogged();
  });

  it('allows the password if the service is unreachable', async () => {
    const closed = await openHttpServer(() => {});
    await closed.close();
    expect(await createLookup(`${closed.origin}/range/`).has(BREACHED)).toBe(false);
    expectLogged();
  });

  it('sends nothing if no URL is configured', async () => {
    expect(await createPwnedPasswords({ url: undefined, log: createLog('info') }).has(BREACHED)).toBe(false);
    expect(requests).toEqual([]);
  });

  function expectLogged(): void {
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"level":"warn"');
    for (const secret of [BREACHED, HASH, SUFFIX, PREFIX, `/range/`]) expect(lines[0]).not.toContain(secret);
  }

  /** Writes rows until the client closes the connection. */
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

describe('a server with PWNED_PASSWORDS=on', () => {
  it('rejects breached passwords at registration, and does not look passwords up at sign-in', async () => {
    respond = rows(`${SUFFIX}:42`);
    const settings = { PWNED_PASSWORDS: 'on', PWNED_PASSWORDS_URL: `${httpServer.origin}/range` };
    const server = await startServer({ settings });
    try {
      const browser = new Browser(server.origin);
      const form = await browser.open('/register');
      const rejected = await browser.submit(form, { name: 'Jane', email: 'jane@example.com', password: BREACHED });
      expect(rejected.html).toContain('appeared in a data breach');
      expect(await server.core.accounts.findByEmail('jane@example.com')).toBeNull();
      expect(requests).toHaveLength(1);

      const { email } = await server.account();
      expect(requests).toHaveLength(2);
      const other = new Browser(server.origin);
      expect((await other.signIn(email, BREACHED)).status).toBe(401);
      expect((await other.signIn(email, PASSWORD)).status).toBe(200);
      expect(requests).toHaveLength(2);
    } finally {
      await server.close();
    }
  });

  it('sends nothing unless enabled, and nothing about passwords that the local rules reject', async () => {
    respond = rows();
    const server = await startServer({ settings: { PWNED_PASSWORDS_URL: `${httpServer.origin}/range/` } });
    await server.account();
    await server.close();
    const enabled = await startServer({
      settings: { PWNED_PASSWORDS: 'on', PWNED_PASSWORDS_URL: `${httpServer.origin}/range/` },
    });
    expect(await enabled.core.passwords.error('password', 'jane@example.com')).toContain('too common');
    await enabled.close();
    expect(requests).toEqual([]);
  });
});
