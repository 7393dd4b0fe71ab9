// An internal tool on Express with the middleware of the tools API's documentation, unchanged
// except for the host. Users send their token, scripts their key; administrators grant permissions.

import { readFileSync } from 'node:fs';
import { runInThisContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { type Handler, openExpress } from '../../support/client-libraries.js';
import { callTools, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { parseItems, requestToolsToken } from '../../support/tools-api.js';

const SNIPPET = new URL('../../clients/snippets/tools_middleware.js', import.meta.url);
const ADMIN = 'admin@captainbook.io';
const INVESTOR = { email: 'investor@example.com', name: 'John Doe', password: 'secure123-lanterns', role: 'viewer' };

describe.each(stores)('an internal tool on $name', (store) => {
  let server: TestServer;
  let origin: string;
  let closeTool: () => Promise<void>;
  let adminToken: string;
  let investorId = '';
  let token = '';
  let key = '';

  beforeAll(async () => {
    server = await startServer({ store });
    const input = { email: ADMIN, name: 'Admin', password: PASSWORD };
    await server.core.accounts.create(input, systemMeta, { role: 'admin' });
    const source = readFileSync(SNIPPET, 'utf8');
    const adapted = source.replace('https://auth.ops.withcaptainbook.com', server.origin);
    expect(adapted).not.toBe(source);
    const checkAuth = runInThisContext(`(${adapted})`) as Handler;
    const tool = await openExpress();
    tool.app.get('/report', checkAuth, (req, res) => {
      const { user, permission } = req as unknown as { user: unknown; permission: unknown };
      res.json({ user, permission });
    });
    origin = tool.origin;
    closeTool = tool.close;
    adminToken = await requestToolsToken(server, ADMIN);
  });
  afterAll(async () => {
    await closeTool();
    await server.close();
  });

  const asAdmin = (method: string, path: string, body?: unknown) =>
    callTools(server, method, path, { token: adminToken, ...(body !== undefined && { body }) });

  async function openReport(authorization?: string) {
    const { status, json } = await sendRequest({ origin }, 'GET', '/report', {
      ...(authorization && { authorization }),
    });
    return { status, body: json };
  }

  it('rejects a request without a token or with an invalid one', async () => {
    expect(await openReport()).toEqual({ status: 401, body: { error: 'No token' } });
    expect(await openReport('Bearer invalid')).toEqual({ status: 401, body: { error: 'Invalid token' } });
    expect(await openReport('invalid')).toEqual({ status: 401, body: { error: 'Invalid token' } });
  });

  it('rejects a new user without a permission', async () => {
    const tool = { slug: 'my-tool-slug', name: 'My tool', url: 'https://analytics.ops.withcaptainbook.com' };
    expect((await asAdmin('POST', '/tools', tool)).json).toMatchObject({ ok: true, tool });
    const created = (await asAdmin('POST', '/users', INVESTOR)).json;
    expect(created).toMatchObject({ ok: true, user: { email: INVESTOR.email, role: 'viewer' } });
    investorId = (created.user as { id: string }).id;
    token = await requestToolsToken(server, INVESTOR.email, INVESTOR.password);
    expect(await openReport(`Bearer ${token}`)).toEqual({ status: 403, body: { error: 'No access' } });
  });

  it('receives the user and the permission level after a grant', async () => {
    for (const level of ['read', 'write', 'admin']) {
      await asAdmin('POST', '/permissions', { user_id: investorId, tool_slug: 'my-tool-slug', level });
      expect(await openReport(`Bearer ${token}`)).toEqual({
        status: 200,
        body: {
          user: { id: investorId, email: INVESTOR.email, name: INVESTOR.name, role: 'viewer' },
          permission: level,
        },
      });
    }
    const { body } = await openReport(`Bearer ${adminToken}`);
    expect(body).toMatchObject({ user: { email: ADMIN, role: 'admin' }, permission: 'admin' });
  });

  it('accepts the key of a script until it is revoked', async () => {
    const created = await callTools(server, 'POST', '/keys', { token, body: { name: 'ci-deploy' } });
    key = String(created.json.key);
    expect(created.json).toMatchObject({ ok: true, prefix: key.slice(0, 11) });
    expect(await openReport(`Bearer ${key}`)).toMatchObject({ status: 200, body: { permission: 'admin' } });
    const [listed] = parseItems(await callTools(server, 'GET', '/keys', { token }));
    await callTools(server, 'DELETE', `/keys/${String(listed!.id)}`, { token });
    expect((await openReport(`Bearer ${key}`)).status).toBe(401);
  });

  it('rejects a user after the permission, and then the account, is deleted', async () => {
    await asAdmin('DELETE', `/permissions?user_id=${investorId}&tool_slug=my-tool-slug`);
    expect((await openReport(`Bearer ${token}`)).status).toBe(403);
    await asAdmin('DELETE', `/users/${investorId}`);
    expect((await openReport(`Bearer ${token}`)).status).toBe(401);
  });
});
