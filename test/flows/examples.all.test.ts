// Runs the examples as their readers start them, against a test server, and signs users in to them.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser as Chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/base/request-meta.js';
import { Browser } from '../support/browser.js';
import { launchChromium, openContext } from '../support/chromium.js';
import { browserFor, completeSignIn } from '../support/openid-client.js';
import { callTools, sendJson } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { waitUntil } from '../support/server-process.js';
import { freePort } from '../support/store-servers.js';
import { requestToolsToken } from '../support/tools-api.js';

const running = new Set<ChildProcess>();

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(() => server.close());

/** Starts an example and waits until it listens. */
async function startExample(file: string, settings: Record<string, string> = {}): Promise<{ origin: string }> {
  const { waitForOutput } = run(process.execPath, file, { PORT: String(await freePort()), ...settings });
  return { origin: await waitForOutput(/listening on (\S+)/) };
}

/** Runs a program of the examples. `waitForOutput` returns the first group of the pattern. */
function run(command: string, file: string, settings: Record<string, string> = {}) {
  const child = spawn(command, [fileURLToPath(new URL(`../../examples/${file}`, import.meta.url))], {
    env: { PATH: process.env.PATH, PYTHONUNBUFFERED: '1', ISSUER: server.issuer, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return { waitForOutput };

  async function waitForOutput(pattern: RegExp): Promise<string> {
    await waitUntil(`${file} prints ${pattern}`, () => {
      if (!pattern.test(output) && child.exitCode !== null) throw new Error(`the example exited: ${output}`);
      return pattern.test(output);
    });
    return pattern.exec(output)![1]!;
  }
}

it('the demo exits with a message when its port is in use', async () => {
  const other = createServer();
  // Another program may use the port already.
  await new Promise((resolve) => other.once('listening', resolve).once('error', resolve).listen(3001));
  const demo = spawnSync(process.execPath, ['examples/demo/demo.mjs'], { encoding: 'utf8', timeout: 20_000 });
  other.close();
  expect([demo.status, demo.stdout]).toEqual([1, '']);
  expect(demo.stderr).toMatch(/^Ports? .*3001.* in use\. Stop the programs that use them, and start again\.\n$/);
});

describe('the examples', () => {
  it('sign a user in and out with Passport', async () => {
    const { email } = await server.account();
    const { origin } = await startExample('passport/app.mjs');
    const visitor = new Browser(origin);
    expect((await visitor.open('/')).html).toContain('Sign in');
    const callback = await completeSignIn(browserFor(server), (await visitor.open('/login')).url, email);
    expect((await visitor.open(callback.url)).html).toContain(`Hello ${email}`);
    expect((await visitor.open('/logout')).html).toContain('Sign in');
  });

  it('sign a user in with Auth.js', async () => {
    const { email } = await server.account();
    const { origin } = await startExample('auth-js/app.mjs');
    const visitor = new Browser(origin);
    const redirect = await visitor.submit(await visitor.open('/auth/signin'));
    expect(redirect.url.origin).toBe(server.origin);
    const callback = await completeSignIn(browserFor(server), redirect.url, email);
    await visitor.open(callback.url);
    expect((await visitor.open('/')).html).toContain(`Hello ${email}`);
  });

  it('check the permission of the user at each request to a tool on Express', async () => {
    const adminLogin = { email: 'admin@example.com', password: PASSWORD };
    await server.core.accounts.create({ ...adminLogin, name: 'Admin' }, systemMeta, { role: 'admin' });
    const { id, email } = await server.account();
    const { origin } = await startExample('express-tool/app.mjs', { EMAIL: adminLogin.email, PASSWORD });
    const [admin, user] = [await requestToolsToken(server, adminLogin.email), await requestToolsToken(server, email)];
    const read = async (token?: string) => (await sendJson({ origin }, 'GET', '/deals', { token })).status;
    const write = async (token: string) =>
      (await sendJson({ origin }, 'POST', '/deals', { token, body: { name: 'Note G' } })).status;
    expect(await read()).toBe(401);
    expect([await read(admin), await write(admin), await read(user)]).toEqual([200, 201, 403]);
    const permission = { user_id: id, tool_slug: 'deals', level: 'read' };
    expect((await callTools(server, 'POST', '/permissions', { token: admin, body: permission })).json.ok).toBe(true);
    await expect.poll(() => read(user), { timeout: 5000 }).toBe(200); // the tool caches for a second
    expect(await write(user)).toBe(403);
  });

  it('sign a user in to an MCP server, for a client that knows only its URL', async () => {
    const { email, id } = await server.account();
    const port = String(await freePort());
    const resource = `http://localhost:${port}/mcp`;
    const scopes = [{ name: 'notes:read', description: 'Read your notes.', byDefault: true, capability: false }];
    const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
    const tokens = { accessTokenFormat: 'jwt', accessTokenTtlSeconds: undefined } as const;
    const notes = { identifier: resource, name: 'Notes', scopes, ...tokens, ...access };
    await server.core.resourceRegistry.create(notes, { kind: 'system' }, systemMeta);
    await run(process.execPath, 'mcp/server.mjs', { PORT: port }).waitForOutput(/listening on (\S+)/);
    const client = run(process.execPath, 'mcp/client.mjs', { MCP_SERVER: resource });
    const browser = browserFor(server);
    const callback = await completeSignIn(browser, await client.waitForOutput(/^\s+(http\S+)$/m), email);
    expect((await fetch(callback.url)).status).toBe(200);
    expect(await client.waitForOutput(/^Tools: (.+)$/m)).toBe('read_notes');
    expect(await client.waitForOutput(/^Notes of (\S+):/m)).toBe(id);
  });

  it('onboard an agent in Python, which then calls tools', async () => {
    const agent = run('python3', 'agent/agent.py');
    expect(await agent.waitForOutput(/^Claim me at (\S+)$/m)).toContain(server.issuer);
    expect(await agent.waitForOutput(/^My token has the scope (\S+) and/m)).toBe('read:analytics');
    expect(await agent.waitForOutput(/^Tools see me as (.+)\.$/m)).toBe('Python example');
  });

  describe('in the browser', () => {
    let chromium: Chromium;
    beforeAll(async () => {
      chromium = await launchChromium();
    });
    afterAll(() => chromium?.close());

    it('sign a user in to a single-page app and out again', async () => {
      const { email } = await server.account();
      const { origin } = await startExample('spa/server.mjs');
      const { context, complaints } = await openContext(chromium);
      const page = await context.newPage();
      await page.goto(origin);
      await page.click('#sign-in');
      await page.fill('input[type=email]', email);
      await page.fill('input[type=password]', PASSWORD);
      await page.click('main button[type=submit]');
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByText(`Hello ${email}`).waitFor();
      expect(page.url()).toBe(`${origin}/`); // without the code
      await page.click('#sign-out');
      await page.getByRole('button', { name: 'Sign out' }).click(); // the server asks for confirmation
      await page.getByText('You are not signed in.').waitFor();
      expect(complaints).toEqual([]);
      await context.close();
    });
  });
});
