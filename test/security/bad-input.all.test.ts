// Sends random requests to all routes: no 5xx response, no hang, no writes, no memory leak.

import { type IncomingHttpHeaders, request } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../src/base/db/open.js';
import { startServer } from '../support/server.js';
import { type ServerProcess, startServerProcess, temporaryFolder, waitUntil } from '../support/server-process.js';

const REQUESTS = 20_000;
const MAX_CONCURRENT = 16;
const RESPONSE_TIMEOUT_MS = 10_000;
/** The mean growth of the heap for each request, after garbage collection. */
const HEAP_GROWTH_BYTES = 500;
/** The mean growth of the process. It is larger, because the allocator keeps freed memory. */
const PROCESS_GROWTH_BYTES = 6_000;

interface Attack {
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  body: Buffer | undefined;
}

const MEMBERS = [
  'client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'scope', 'state', 'nonce', 'prompt', 'max_age',
  'code', 'code_verifier', 'code_challenge', 'code_challenge_method', 'grant_type', 'refresh_token', 'token', 'token_type_hint',
  'resource', 'request', 'request_uri', 'claims', 'id_token_hint', 'login_hint', 'acr_values', 'ui_locales', 'display', 'dpop_jkt',
  'client_assertion', 'client_assertion_type', 'device_code', 'user_code', 'xsrf', 'logout', 'confirm', 'abort', 'csrf', 'email',
  'password', 'name', 'decision', 'return_to', 'app', 'proof', 'access_token', 'post_logout_redirect_uri', 'authorization_details',
  '__proto__', 'constructor', 'hasOwnProperty', 'redirect_uris', 'grant_types', 'jwks', 'client_name', 'contacts', 'audience',
  'username', 'otp', 'refreshToken', 'new_password', 'current_password', 'full_name', 'timezone', 'language', 'notifications',
]; // biome-ignore format: a list

describe('bad input', () => {
  const folder = temporaryFolder();
  let serverProcess: ServerProcess;
  let db: Database;
  let routes: { method: string; path: string }[];

  beforeAll(async () => {
    const server = await startServer();
    routes = server.app.routes.flatMap(({ methods, path }) =>
      methods.map((method) => ({ method, path: String(path) })),
    );
    await server.close();
    // Trusts the proxy so that each request can have its own IP address and no rate limit applies.
    serverProcess = await startServerProcess({
      PORT: '0',
      DATA_DIR: folder.path,
      TRUSTED_PROXIES: '127.0.0.0/8',
      NODE_OPTIONS: `--import ${new URL('../support/memory-probe.mjs', import.meta.url)}`,
    });
    db = await openDatabase(`file:${join(folder.path, 'signet.db')}`);
  });
  afterAll(async () => {
    await db.$disconnect();
    serverProcess.kill('SIGTERM');
    await serverProcess.ended;
    folder.remove();
  });

  it(`causes no errors, writes or leaks in ${REQUESTS.toLocaleString('en')} requests`, async () => {
    const client = await register();
    const before = await counts();
    const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
    const attacks = fc.sample(attack(client), { numRuns: REQUESTS, seed });
    // Warms up caches first, which are not a leak.
    const errors = await send(attacks.splice(0, REQUESTS / 4));
    const [warm, requests] = [await memory(), attacks.length];
    errors.push(...(await send(attacks)));
    const now = await memory();
    expect(errors.slice(0, 3), `seed ${seed}`).toEqual([]);
    expect((now.heap - warm.heap) / requests, `seed ${seed}`).toBeLessThan(HEAP_GROWTH_BYTES);
    expect((now.process - warm.process) / requests, `seed ${seed}`).toBeLessThan(PROCESS_GROWTH_BYTES);
    expect(await counts(), `seed ${seed}`).toEqual(before);
    expect(
      serverProcess.lines().filter((line) => line.level === 'error'),
      `seed ${seed}`,
    ).toEqual([]);
    expect(serverProcess.stderr()).not.toMatch(/Error/);
  }, 600_000);

  async function register(): Promise<string> {
    const metadata = { client_name: 'Acme', redirect_uris: ['https://acme.example/cb'] };
    const response = await fetch(`${serverProcess.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    });
    return ((await response.json()) as { client_id: string }).client_id;
  }

  /** Measures the memory of the server after garbage collection, in bytes. */
  async function memory(): Promise<{ heap: number; process: number }> {
    const reports = () => serverProcess.lines().filter(({ msg }) => msg === 'memory');
    const before = reports().length;
    serverProcess.kill('SIGUSR2');
    await waitUntil('the server reports its memory', () => reports().length > before, 30_000);
    const { heap, process } = reports().at(-1)!;
    return { heap: Number(heap), process: Number(process) };
  }

  /** Counts the records that requests without credentials must neither create nor delete. */
  async function counts() {
    return {
      accounts: await db.account.count(),
      clients: await db.client.count(),
      consents: await db.consent.count(),
      grants: await db.grant.count(),
      refreshTokens: await db.refreshToken.count(),
      sessions: await db.session.count(),
      keys: await db.signingKey.count(),
      resources: await db.resource.count(),
    };
  }

  async function send(attacks: Attack[]): Promise<string[]> {
    const errors: string[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: MAX_CONCURRENT }, async () => {
        for (let attack = attacks[next++]; attack; attack = attacks[next++]) {
          const outcome = await sendOne(attack, next);
          if (outcome) errors.push(`${outcome}: ${describeAttack(attack)}`);
        }
      }),
    );
    return errors;
  }

  /**
   * Returns what is wrong with the response, if anything. The server may close the connection of a
   * malformed request without a response.
   */
  function sendOne({ method, path, headers, body }: Attack, n: number): Promise<string | undefined> {
    const from = `10.0.${(n >> 8) & 15}.${n & 255}`; // several thousand addresses, each below its rate limits
    return new Promise((resolve) => {
      let req: ReturnType<typeof request>;
      try {
        req = request({
          host: '127.0.0.1',
          port: Number(new URL(serverProcess.origin).port),
          method,
          path,
          headers: { ...headers, 'x-forwarded-for': from, connection: 'close' },
          timeout: RESPONSE_TIMEOUT_MS,
        });
      } catch {
        return resolve(undefined); // Node.js rejects the request
      }
      req.on('timeout', () => {
        req.destroy();
        resolve('no response');
      });
      req.on('error', () => resolve(undefined));
      req.on('response', (response) => {
        response.resume().on('end', () => resolve(judge(response.statusCode ?? 0, response.headers)));
      });
      req.end(body);
    });
  }

  function judge(status: number, headers: IncomingHttpHeaders): string | undefined {
    if (status >= 500 && status !== 501) return String(status);
    // Node.js sends these itself, before our handler runs.
    const byNode = status === 400 || status === 417 || status === 431;
    return byNode || headers['x-content-type-options'] === 'nosniff' ? undefined : 'no nosniff';
  }

  function attack(clientId: string): fc.Arbitrary<Attack> {
    const odd = oddText(clientId);
    const member = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...MEMBERS) }, odd);
    const pairs = fc.array(fc.tuple(member, odd), { maxLength: 12 });
    return fc
      .record({
        route: fc.constantFrom(...routes),
        method: fc.option(
          fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND'),
          { freq: 6 },
        ),
        parameter: odd,
        query: fc.oneof(
          pairs.map(encode),
          fc.constant(''),
          fc.constantFrom('%', '%zz', 'a=%ff%fe', '&&&', 'a[]=1&a[b]=2', '?', 'a=%00'),
        ),
        headers: oddHeaders(odd),
        body: oddBody(pairs),
      })
      .map(({ route, method, parameter, query, headers, body }) => ({
        method: method ?? route.method,
        path: `${route.path.replace(/:\w+/g, () => encodeURIComponent(parameter.toWellFormed()).slice(0, 300) || 'x')}${query && `?${query}`}`,
        headers: { ...headers, ...(body?.type && { 'content-type': body.type }) },
        body: body?.content,
      }));
  }

  function oddText(clientId: string): fc.Arbitrary<string> {
    return fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom(
        '',
        ' ',
        '\u0000',
        '\ud800',
        '\u202e',
        '0',
        '-1',
        '1e309',
        'NaN',
        'null',
        '{}',
        '[]',
        'true',
        '../../etc/passwd',
        "' OR 1=1 --",
      ),
      fc.constantFrom(
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'password',
        'code',
        'S256',
        'plain',
        'none',
        'openid',
        'login',
      ),
      fc.constantFrom(
        'https://acme.example/cb',
        'javascript:alert(1)',
        'http://[::1',
        '//evil.example',
        '/\\evil.example',
        'jwt~a.b.c',
        '~x.y',
      ),
      fc.constant('eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.'),
      fc.constant(clientId),
      fc.integer({ min: 1000, max: 20_000 }).map((length) => 'x'.repeat(length)),
      fc.json({ maxDepth: 4 }),
    );
  }

  function oddHeaders(odd: fc.Arbitrary<string>): fc.Arbitrary<Record<string, string | string[]>> {
    const value = odd.map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 4000)); // what Node.js can send
    return fc.dictionary(
      fc.constantFrom(
        'authorization', 'cookie', 'origin', 'accept', 'accept-encoding', 'dpop', 'referer', 'sec-fetch-site', 'x-forwarded-host',
        'x-forwarded-proto', 'forwarded', 'x-request-id', 'user-agent', 'content-encoding', 'expect', 'range', 'if-none-match',
        'access-control-request-method', 'access-control-request-headers', 'upgrade', 'x-http-method-override', 'te', 'x-api-key', 'x-csrf-token',
      ), // biome-ignore format: a list
      fc.oneof(
        value,
        value.map((text) => `Bearer ${text}`),
        value.map((text) => `Basic ${Buffer.from(text).toString('base64')}`),
        value.map((text) => `signet_login=${text}; signet_op=${text}; signet_csrf=%`),
        value.map((text) => `cap_access=${text}; cap_refresh=${text}; cap_csrf=${text}`),
        fc.constantFrom(
          'text/html',
          'application/json',
          '*/*',
          'null',
          'https://evil.example',
          'DPoP x',
          'Basic %',
          'Basic OjpA',
        ),
      ),
      { maxKeys: 4 },
    );
  }

  function oddBody(pairs: fc.Arbitrary<[string, string][]>): fc.Arbitrary<{ type: string; content: Buffer } | null> {
    const form = 'application/x-www-form-urlencoded';
    const json = 'application/json';
    const types = fc.constantFrom(
      form,
      json,
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/xml',
      `${json}; charset=utf-7`,
      'x',
      '',
    );
    const members = pairs.map((list) => JSON.stringify(Object.fromEntries(list)));
    return fc.option(
      fc.oneof(
        { weight: 4, arbitrary: pairs.map((list) => ({ type: form, content: Buffer.from(encode(list)) })) },
        { weight: 3, arbitrary: members.map((text) => ({ type: json, content: Buffer.from(text) })) },
        fc
          .tuple(types, fc.uint8Array({ maxLength: 300 }))
          .map(([type, bytes]) => ({ type, content: Buffer.from(bytes) })),
        fc.tuple(types, fc.json()).map(([type, text]) => ({ type, content: Buffer.from(text) })),
        fc.integer({ min: 100, max: 20_000 }).map((depth) => ({ type: json, content: Buffer.from('['.repeat(depth)) })),
        fc.constantFrom(form, json).map((type) => ({ type, content: Buffer.alloc(200_000, 'a=1&') })),
      ),
      { freq: 3 },
    );
  }
});

const encode = (pairs: [string, string][]) =>
  pairs
    .map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`)
    .join('&');

const describeAttack = ({ method, path, headers, body }: Attack) =>
  `${method} ${path.slice(0, 400)} ${JSON.stringify(headers).slice(0, 400)} ${body?.toString('latin1').slice(0, 400) ?? ''}`;
