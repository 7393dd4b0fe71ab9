// Runs the code snippets of the clients' documentation unchanged, except for the host. Behind that
// host are Signet and, as in production, a service that asks Signet for the user of each request.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { startServer, type TestServer } from '../../support/server.js';

const SNIPPETS = new URL('../../clients/snippets/', import.meta.url);
const ACCOUNT = { email: 'user@example.com', password: 'SecurePass123!', name: 'John Doe' };

describe('the snippets of the documentation', () => {
  let server: TestServer;
  let host: Server;
  let origin: string;
  const requests: string[] = [];
  beforeAll(async () => {
    // The script refreshes 5 minutes before the expiry, which is at once.
    server = await startServer({ settings: { ACCESS_TOKEN_TTL: '4m' } });
    await server.core.accounts.create(ACCOUNT, systemMeta);
    host = createServer(async (req, res) => {
      requests.push(`${req.method} ${req.url}`);
      const body = req.method === 'POST' ? await text(req) : undefined;
      const headers = {
        ...(req.headers['content-type'] && { 'content-type': req.headers['content-type'] }),
        ...(req.headers.authorization && { authorization: req.headers.authorization }),
      };
      const isForSignet = req.url?.startsWith('/api/v1/auth/');
      const response = isForSignet
        ? await fetch(`${server.origin}${req.url}`, { method: req.method, headers, body })
        : await fetch(`${server.origin}/api/v1/auth/me`, { headers });
      const responseText = await response.text();
      res.writeHead(response.status, { 'content-type': 'application/json' });
      res.end(
        isForSignet || response.status !== 200 ? responseText : JSON.stringify({ owner: JSON.parse(responseText).id }),
      );
    });
    await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    host.closeAllConnections();
    host.close();
    await server.close();
  });

  /** Runs a snippet. Returns its output. */
  async function run(name: string): Promise<string> {
    const source = readFileSync(new URL(name, SNIPPETS), 'utf8');
    const adapted = source.replace(/https:\/\/api\.(ainative\.studio|opencapstack\.com)/g, origin);
    expect(adapted).not.toBe(source);
    const program = name.endsWith('.py') ? ['python3', '-'] : [process.execPath, '--input-type=module', '-'];
    const child = spawn(program[0]!, program.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    const exited = new Promise<number | null>((resolve, reject) => child.once('exit', resolve).once('error', reject));
    child.stdin.end(adapted);
    const [code, output, errorOutput] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
    if (code !== 0) throw new Error(errorOutput);
    return output;
  }

  it.each(['studio_login.py', 'studio_login.mjs'])('%s signs in and reads the user', async (name) => {
    expect(await run(name)).toContain('user@example.com');
  });

  it('stack_proxy_login.mjs signs in by proxy and uses its token', async () => {
    const { id } = (await server.core.accounts.findByEmail(ACCOUNT.email))!;
    expect(await run('stack_proxy_login.mjs')).toContain(id);
  });

  it('studio_refresh.py refreshes before its token expires and uses the new one', async () => {
    const { id } = (await server.core.accounts.findByEmail(ACCOUNT.email))!;
    requests.length = 0;
    expect(await run('studio_refresh.py')).toContain(id);
    expect(requests).toEqual([
      'POST /api/v1/auth/login-json',
      'POST /api/v1/auth/refresh',
      'GET /api/v1/database/projects',
    ]);
  });
});
