// What the clients' own documents tell their developers to write, word for word: only the host is
// another one. Behind that host stands, as it does for them, a service of their own, which asks
// Signet who somebody is, beside Signet itself.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { startServer, type TestServer } from '../../support/server.js';

const SNIPPETS = new URL('../../clients/snippets/', import.meta.url);
const ACCOUNT = { email: 'user@example.com', password: 'SecurePass123!', name: 'John Doe' };

describe('the snippets of the documents', () => {
  let server: TestServer;
  let host: Server;
  let origin: string;
  const asked: string[] = [];
  beforeAll(async () => {
    // So short that the script which refreshes "5 minutes before expiration" refreshes at once.
    server = await startServer({ settings: { ACCESS_TOKEN_TTL: '4m' } });
    await server.core.accounts.create(ACCOUNT, systemMeta);
    host = createServer(async (req, res) => {
      asked.push(`${req.method} ${req.url}`);
      const body = req.method === 'POST' ? await text(req) : undefined;
      const headers = {
        ...(req.headers['content-type'] && { 'content-type': req.headers['content-type'] }),
        ...(req.headers.authorization && { authorization: req.headers.authorization }),
      };
      const ours = req.url?.startsWith('/api/v1/auth/');
      const answer = ours
        ? await fetch(`${server.origin}${req.url}`, { method: req.method, headers, body })
        : await fetch(`${server.origin}/api/v1/auth/me`, { headers });
      const told = await answer.text();
      res.writeHead(answer.status, { 'content-type': 'application/json' });
      res.end(ours || answer.status !== 200 ? told : JSON.stringify({ owner: JSON.parse(told).id }));
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    host.closeAllConnections();
    host.close();
    await server.close();
  });

  /** What it prints. */
  async function run(name: string): Promise<string> {
    const source = readFileSync(new URL(name, SNIPPETS), 'utf8');
    const pointed = source.replace(/https:\/\/api\.(ainative\.studio|opencapstack\.com)/g, origin);
    expect(pointed).not.toBe(source);
    const program = name.endsWith('.py') ? ['python3', '-'] : [process.execPath, '--input-type=module', '-'];
    const child = spawn(program[0]!, program.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    const ended = new Promise<number | null>((resolve, reject) => child.once('exit', resolve).once('error', reject));
    child.stdin.end(pointed);
    const [code, said, complaint] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    if (code !== 0) throw new Error(complaint);
    return said;
  }

  it.each(['studio_login.py', 'studio_login.mjs'])('%s signs in and learns who it is', async (name) => {
    expect(await run(name)).toContain('user@example.com');
  });

  it('stack_proxy_login.mjs signs in by proxy, and goes on with its token', async () => {
    const { id } = (await server.core.accounts.findByEmail(ACCOUNT.email))!;
    expect(await run('stack_proxy_login.mjs')).toContain(id);
  });

  it('studio_refresh.py refreshes before its token expires, and goes on', async () => {
    const { id } = (await server.core.accounts.findByEmail(ACCOUNT.email))!;
    asked.length = 0;
    expect(await run('studio_refresh.py')).toContain(id);
    expect(asked).toEqual([
      'POST /api/v1/auth/login-json',
      'POST /api/v1/auth/refresh',
      'GET /api/v1/database/projects',
    ]);
  });
});
