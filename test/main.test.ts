// The compiled server: first start, second start, stop. Failing starts: cannot-start.all.test.ts.
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Browser } from './support/browser.js';
import { startFresh } from './support/fresh-start.js';
import { run, startServerProcess, waitUntil } from './support/server-process.js';

const PASSWORD = 'correct horse battery';
const { folder, settings } = startFresh();

describe('the first start of the server', () => {
  test('needs only a folder and a port, and serves the discovery document', async () => {
    const server = await startServerProcess({ DATA_DIR: folder.path, PORT: '0' });
    const listening = server.lines().filter((line) => line.msg === 'listening');
    expect(listening).toHaveLength(1);
    expect(listening[0]).toMatchObject({ issuer: server.origin, database: 'SQLite', redis: false });
    const open = server.lines().filter((line) => line.msg === 'open to visitors');
    expect(open.map(({ level, setting }) => `${level} ${setting}`)).toContain('info SIGNUP=open');
    const discovery = await fetch(String(listening[0]!.discovery));
    expect(discovery.status).toBe(200);
    expect(await discovery.json()).toMatchObject({ issuer: server.origin });
    expect((await fetch(`${server.origin}/healthz`)).status).toBe(200);
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
  });

  test('warns in production of what is open to visitors', async () => {
    const { PORT, DATA_DIR } = settings;
    const production = { NODE_ENV: 'production', ISSUER: 'https://id.example.com', SECRET: 'x'.repeat(40) };
    const closed = { REGISTRATION: 'closed', AGENT_ONBOARDING: 'closed' };
    const server = await startServerProcess({ PORT: PORT!, DATA_DIR: DATA_DIR!, ...production, ...closed });
    const open = () => server.lines().filter((line) => line.msg === 'open to visitors');
    await waitUntil('the settings are logged', () => open().length > 0);
    expect(open()).toMatchObject([{ level: 'warn', setting: 'SIGNUP=open' }]);
  });

  test('prints a setup link outside the log, which creates one administrator', async () => {
    const server = await startServerProcess(settings);
    await waitUntil('the link is shown', () => setupLink(server.stderr()) !== undefined);
    const link = setupLink(server.stderr())!;
    expect(server.stdout()).not.toContain(new URL(link).searchParams.get('token'));

    const browser = new Browser(server.origin);
    const form = await browser.open(link);
    expect(form.status).toBe(200);
    const created = await browser.submit(form, { email: 'root@example.com', name: 'Rita Root', password: PASSWORD });
    expect(created.html).toContain('Rita Root');
    const accounts = JSON.parse((await run('cli.js', ['account', 'list', '--json'], settings)).stdout);
    expect(accounts).toMatchObject([{ email: 'root@example.com', role: 'admin', email_verified: true }]);

    expect((await new Browser(server.origin).open(link)).status).toBe(401);
    expect((await new Browser(server.origin).submit(form, { email: 'b@example.com', password: PASSWORD })).status).toBe(
      403,
    );
    expect(server.stdout()).not.toContain(new URL(link).searchParams.get('token'));

    server.kill('SIGTERM');
    await server.ended;
    const second = await startServerProcess(settings);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(setupLink(second.stderr())).toBeUndefined();
  });

  test('creates the administrator of the settings once', async () => {
    const withAdmin = {
      ...settings,
      BOOTSTRAP_ADMIN_EMAIL: 'boot@example.com',
      BOOTSTRAP_ADMIN_PASSWORD: PASSWORD,
    };
    for (const expected of [1, 0]) {
      const server = await startServerProcess(withAdmin);
      expect(server.lines().filter((line) => /created the first administrator/.test(line.msg))).toHaveLength(expected);
      expect(setupLink(server.stderr())).toBeUndefined();
      expect(server.stdout()).not.toContain(PASSWORD);
      const page = await new Browser(server.origin).signIn('boot@example.com', PASSWORD);
      expect(page.url.pathname).not.toBe('/login');
      server.kill('SIGTERM');
      await server.ended;
    }
    const accounts = JSON.parse((await run('cli.js', ['account', 'list', '--json'], settings)).stdout);
    expect(accounts).toMatchObject([{ email: 'boot@example.com', role: 'admin', email_verified: true }]);
  });
});

describe('stopping the server', () => {
  test('succeeds although the pipes for its log and errors are closed', async () => {
    // A new database, so that the server writes a setup link to standard error.
    const server = await startServerProcess({ DATA_DIR: join(folder.path, 'new'), PORT: '0' }, { mute: true });
    server.hangUp();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await fetch(`${server.origin}/readyz`)).status).toBe(200);
    const began = Date.now();
    server.kill('SIGTERM');
    const result = await Promise.race([
      server.ended,
      new Promise((resolve) => setTimeout(resolve, 8000, 'still running')),
    ]);
    expect(result).toEqual({ code: 0, signal: null });
    expect(Date.now() - began).toBeLessThan(8000);
  });

  test('finishes pending requests, rejects new ones, and exits with 0', async () => {
    const server = await startServerProcess(settings);
    const browser = new Browser(server.origin);
    const login = await browser.open('/login');
    const { hostname, port } = new URL(server.origin);
    const body = new URLSearchParams({ csrf: 'x', email: 'a@example.com', password: 'y' }).toString();
    const socket = connect(Number(port), hostname);
    let response = '';
    socket.on('data', (chunk) => {
      response += chunk;
    });
    socket.write(
      'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n' +
        `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 200)); // the server waits for the rest of the body
    const began = Date.now();
    server.kill('SIGTERM');
    server.kill('SIGINT'); // npm and the terminal may both send one
    await waitUntil('the port is closed', () =>
      fetch(server.origin).then(
        () => false,
        () => true,
      ),
    );
    socket.write(body.slice(5));
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(Date.now() - began).toBeLessThan(5000);
    expect(response).toMatch(/^HTTP\/1\.1 403 /); // because of the CSRF token
    expect(login.status).toBe(200);
    expect(server.lines().at(-1)?.msg).toBe('stopped');
  });

  test('does not wait for idle connections', async () => {
    const server = await startServerProcess(settings);
    await fetch(`${server.origin}/healthz`); // undici keeps the connection
    const began = Date.now();
    server.kill('SIGINT');
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(Date.now() - began).toBeLessThan(2000);
  });
});

function setupLink(text: string): string | undefined {
  return /http:\/\/\S+\/setup\?token=\S+/.exec(text)?.[0];
}
