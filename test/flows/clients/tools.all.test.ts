// An internal tool on Express, behind the middleware that the document of the *tools* dialect gives
// its developers, word for word: only the host is another one. People come to it with their token,
// scripts with their key; an administrator says who may what.

import { readFileSync } from 'node:fs';
import { runInThisContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { type Handler, openExpress } from '../../support/client-libraries.js';
import { callTools } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { parseItems, requestToolsToken } from '../../support/tools-api.js';

const SNIPPET = new URL('../../clients/snippets/tools_middleware.js', import.meta.url);
const KEEPER = 'keeper@captainbook.io';
const INVESTOR = { email: 'investor@example.com', name: 'John Doe', password: 'secure123-lanterns', role: 'viewer' };

describe.each(stores)('an internal tool, its keeper and its visitors on $name', (store) => {
  let server: TestServer;
  let origin: string;
  let closeTool: () => Promise<void>;
  let keeperToken: string;
  let investorId = '';
  let token = '';
  let key = '';

  beforeAll(async () => {
    server = await startServer({ store });
    const input = { email: KEEPER, name: 'Keeper', password: PASSWORD };
    await server.core.accounts.create(input, systemMeta, { role: 'admin' });
    const written = readFileSync(SNIPPET, 'utf8');
    const pointed = written.replace('https://auth.ops.withcaptainbook.com', server.origin);
    expect(pointed).not.toBe(written);
    const checkAuth = runInThisContext(`(${pointed})`) as Handler;
    const tool = await openExpress();
    tool.app.get('/report', checkAuth, (req, res) => {
      const { user, permission } = req as unknown as { user: unknown; permission: unknown };
      res.json({ user, permission });
    });
    origin = tool.origin;
    closeTool = tool.close;
    keeperToken = await requestToolsToken(server, KEEPER);
  });
  afterAll(async () => {
    await closeTool();
    await server.close();
  });

  const asKeeper = (method: string, path: string, body?: unknown) =>
    callTools(server, method, path, { token: keeperToken, ...(body !== undefined && { body }) });

  async function signedInBrowser(authorization?: string) {
    const answer = await fetch(`${origin}/report`, { headers: { ...(authorization && { authorization }) } });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  it('is closed to whoever brings nothing, or what is worth nothing', async () => {
    expect(await signedInBrowser()).toEqual({ status: 401, body: { error: 'No token' } });
    expect(await signedInBrowser('Bearer nothing')).toEqual({ status: 401, body: { error: 'Invalid token' } });
    expect(await signedInBrowser('nothing')).toEqual({ status: 401, body: { error: 'Invalid token' } });
  });

  it('is registered, and an account is made, which may nothing in it at first', async () => {
    const tool = { slug: 'my-tool-slug', name: 'My tool', url: 'https://analytics.ops.withcaptainbook.com' };
    expect((await asKeeper('POST', '/tools', tool)).json).toMatchObject({ ok: true, tool });
    const made = (await asKeeper('POST', '/users', INVESTOR)).json;
    expect(made).toMatchObject({ ok: true, user: { email: INVESTOR.email, role: 'viewer' } });
    investorId = (made.user as { id: string }).id;
    token = await requestToolsToken(server, INVESTOR.email, INVESTOR.password);
    expect(await signedInBrowser(`Bearer ${token}`)).toEqual({ status: 403, body: { error: 'No access' } });
  });

  it('lets in whoever was granted something, and says as whom and how far', async () => {
    for (const level of ['read', 'write', 'admin']) {
      await asKeeper('POST', '/permissions', { user_id: investorId, tool_slug: 'my-tool-slug', level });
      expect(await signedInBrowser(`Bearer ${token}`)).toEqual({
        status: 200,
        body: {
          user: { id: investorId, email: INVESTOR.email, name: INVESTOR.name, role: 'viewer' },
          permission: level,
        },
      });
    }
    const { body } = await signedInBrowser(`Bearer ${keeperToken}`);
    expect(body).toMatchObject({ user: { email: KEEPER, role: 'admin' }, permission: 'admin' });
  });

  it('lets in a script by its key, until that is revoked', async () => {
    const made = await callTools(server, 'POST', '/keys', { token, body: { name: 'ci-deploy' } });
    key = String(made.json.key);
    expect(made.json).toMatchObject({ ok: true, prefix: key.slice(0, 11) });
    expect(await signedInBrowser(`Bearer ${key}`)).toMatchObject({ status: 200, body: { permission: 'admin' } });
    const [listed] = parseItems(await callTools(server, 'GET', '/keys', { token }));
    await callTools(server, 'DELETE', `/keys/${String(listed!.id)}`, { token });
    expect((await signedInBrowser(`Bearer ${key}`)).status).toBe(401);
  });

  it('shuts out whoever lost the permission, and then whoever was deleted', async () => {
    await asKeeper('DELETE', `/permissions?user_id=${investorId}&tool_slug=my-tool-slug`);
    expect((await signedInBrowser(`Bearer ${token}`)).status).toBe(403);
    await asKeeper('DELETE', `/users/${investorId}`);
    expect((await signedInBrowser(`Bearer ${token}`)).status).toBe(401);
  });
});
