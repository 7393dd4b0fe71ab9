// The examples, each as its reader starts it, beside a house: somebody signs in, and the app says
// who it is.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser as Chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../src/core/request-meta.js';
import { Browser } from '../support/browser.js';
import { launchChromium, openContext } from '../support/chromium.js';
import { browserFor, completeSignIn } from '../support/openid-client.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { waitUntil } from '../support/server-process.js';
import { freePort } from '../support/store-servers.js';

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

/** Starts an example and waits until it says where it listens. */
async function start(file: string, settings: Record<string, string> = {}): Promise<{ origin: string }> {
  const { says } = run(process.execPath, file, { PORT: String(await freePort()), ...settings });
  return { origin: await says(/listening on (\S+)/) };
}

/** Runs a program of the examples. `says` waits for what it prints. */
function run(command: string, file: string, settings: Record<string, string> = {}) {
  const child = spawn(command, [fileURLToPath(new URL(`../../examples/${file}`, import.meta.url))], {
    env: { PATH: process.env.PATH, PYTHONUNBUFFERED: '1', ISSUER: server.issuer, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
  }
  return { says };

  async function says(pattern: RegExp): Promise<string> {
    await waitUntil(`${file} says ${pattern}`, () => {
      if (!pattern.test(said) && child.exitCode !== null) throw new Error(`the example ended: ${said}`);
      return pattern.test(said);
    });
    return pattern.exec(said)![1]!;
  }
}

it('the demo says which port is taken, and starts nothing', async () => {
  const other = createServer();
  await new Promise((resolve) => other.once('listening', resolve).once('error', resolve).listen(3001)); // or somebody has it already
  const demo = spawnSync(process.execPath, ['examples/demo/demo.mjs'], { encoding: 'utf8', timeout: 20_000 });
  other.close();
  expect([demo.status, demo.stdout]).toEqual([1, '']);
  expect(demo.stderr).toMatch(/^Ports? .*3001.* in use\. Stop the programs that use them, and start again\.\n$/);
});

describe('an example', () => {
  it('on Passport says who signed in, and forgets them again', async () => {
    const { email } = await server.account();
    const { origin } = await start('passport/app.mjs');
    const visitor = new Browser(origin);
    expect((await visitor.open('/')).html).toContain('Sign in');
    const back = await completeSignIn(browserFor(server), (await visitor.open('/login')).url, email);
    expect((await visitor.open(back.url)).html).toContain(`Hello ${email}`);
    expect((await visitor.open('/logout')).html).toContain('Sign in');
  });

  it('on Auth.js says who signed in', async () => {
    const { email } = await server.account();
    const { origin } = await start('auth-js/app.mjs');
    const visitor = new Browser(origin);
    const away = await visitor.submit(await visitor.open('/auth/signin'));
    expect(away.url.origin).toBe(server.origin);
    const back = await completeSignIn(browserFor(server), away.url, email);
    await visitor.open(back.url);
    expect((await visitor.open('/')).html).toContain(`Hello ${email}`);
  });

  it('of a tool on Express asks who comes and what they may, at each request', async () => {
    const adminLogin = { email: 'admin@example.com', password: PASSWORD };
    await server.core.accounts.create({ ...adminLogin, name: 'Keeper' }, systemMeta, { role: 'admin' });
    const { id, email } = await server.account();
    const { origin } = await start('express-tool/app.mjs', { EMAIL: adminLogin.email, PASSWORD });
    const post = (url: string, token: string, body: object) =>
      fetch(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const tokenOf = async (who: string) => {
      const answer = await post(`${server.origin}/api/token`, 'none', { email: who, password: PASSWORD });
      return ((await answer.json()) as { token: string }).token;
    };
    const [admin, visitor] = [await tokenOf(adminLogin.email), await tokenOf(email)];
    const read = async (token: string) => {
      return (await fetch(`${origin}/deals`, { headers: { authorization: `Bearer ${token}` } })).status;
    };
    const write = async (token: string) => (await post(`${origin}/deals`, token, { name: 'Note G' })).status;
    expect((await fetch(`${origin}/deals`)).status).toBe(401);
    expect([await read(admin), await write(admin), await read(visitor)]).toEqual([200, 201, 403]);
    const granted = { user_id: id, tool_slug: 'deals', level: 'read' };
    expect((await post(`${server.origin}/api/permissions`, admin, granted)).ok).toBe(true);
    await expect.poll(() => read(visitor), { timeout: 5000 }).toBe(200); // what the tool was told counts for a second
    expect(await write(visitor)).toBe(403);
  });

  it('of an MCP server and its client, which knows nothing but its address', async () => {
    const { email, id } = await server.account();
    const port = String(await freePort());
    const resource = `http://localhost:${port}/mcp`;
    const scopes = [{ name: 'notes:read', description: 'Read your notes.', byDefault: true, capability: false }];
    const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
    const tokens = { accessTokenFormat: 'jwt', accessTokenTtlSeconds: undefined } as const;
    const notes = { identifier: resource, name: 'Notes', scopes, ...tokens, ...access };
    await server.core.resourceRegistry.create(notes, { kind: 'system' }, systemMeta);
    await run(process.execPath, 'mcp/server.mjs', { PORT: port }).says(/listening on (\S+)/);
    const client = run(process.execPath, 'mcp/client.mjs', { MCP_SERVER: resource });
    const browser = browserFor(server);
    const back = await completeSignIn(browser, await client.says(/^\s+(http\S+)$/m), email);
    expect((await fetch(back.url)).status).toBe(200);
    expect(await client.says(/^Tools: (.+)$/m)).toBe('read_notes');
    expect(await client.says(/^Notes of (\S+):/m)).toBe(id);
  });

  it('of an agent, in Python without libraries', async () => {
    const agent = run('python3', 'agent/agent.py');
    expect(await agent.says(/^Claim me at (\S+)$/m)).toContain(server.issuer);
    expect(await agent.says(/^My token has the scope (\S+) and/m)).toBe('read:analytics');
    expect(await agent.says(/^Tools see me as (.+)\.$/m)).toBe('Python example');
  });

  describe('in the browser', () => {
    let chromium: Chromium;
    beforeAll(async () => {
      chromium = await launchChromium();
    });
    afterAll(() => chromium?.close());

    it('signs in with PKCE alone, says who it is, and signs out', async () => {
      const { email } = await server.account();
      const { origin } = await start('spa/server.mjs');
      const { context, complaints } = await openContext(chromium);
      const page = await context.newPage();
      await page.goto(origin);
      await page.click('#sign-in');
      await page.fill('input[type=email]', email);
      await page.fill('input[type=password]', PASSWORD);
      await page.click('main button[type=submit]');
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByText(`Hello ${email}`).waitFor();
      expect(page.url()).toBe(`${origin}/`); // no code stays in the address
      await page.click('#sign-out');
      await page.getByRole('button', { name: 'Sign out' }).click(); // the house asks whether from everywhere
      await page.getByText('You are not signed in.').waitFor();
      expect(complaints).toEqual([]);
      await context.close();
    });
  });
});
