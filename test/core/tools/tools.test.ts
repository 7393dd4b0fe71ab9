// Tools and permissions: administrators grant them, and tools validate credentials.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addMember } from '../../support/accounts.js';
import { callApi, callTools } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';
import { createToolsAccount, createToolsKey, parseItems, validateToken } from '../../support/tools-api.js';

type TestUser = Awaited<ReturnType<typeof createToolsAccount>>;

describe.each(stores)('the tools API on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  let admin: TestUser;
  let tools = 0;
  beforeAll(async () => {
    server = await startServer({ store });
    secondServer = await startServer({ sharedWith: server });
    admin = await createToolsAccount(server, 'admin');
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  const asAdmin = (method: string, path: string, body?: unknown) =>
    callTools(server, method, path, { token: admin.token, ...(body !== undefined && { body }) });

  async function newTool(more: object = {}): Promise<string> {
    tools += 1;
    const slug = `tool-${tools}`;
    const response = await asAdmin('POST', '/tools', { slug, name: 'Deal room', ...more });
    if (response.status !== 201) throw new Error(response.text);
    return slug;
  }

  const grant = (userId: string, slug: string, level = 'read') =>
    asAdmin('POST', '/permissions', { user_id: userId, tool_slug: slug, level });

  it('registers tools by slug, lists them to all accounts, and deletes them with their permissions', async () => {
    const { id, token } = await createToolsAccount(server);
    const created = await asAdmin('POST', '/tools', {
      slug: 'analytics',
      name: 'Analytics',
      url: 'https://a.example/',
    });
    const tool = { slug: 'analytics', name: 'Analytics', url: 'https://a.example', created_at: expect.any(String) };
    expect([created.status, created.json]).toEqual([201, { ok: true, tool }]);
    expect(parseItems(await callTools(server, 'GET', '/tools', { token }))).toContainEqual(tool);
    expect((await asAdmin('POST', '/tools', { slug: 'analytics', name: 'Again' })).json.error).toBe('conflict');
    await grant(id, 'analytics');
    expect((await asAdmin('DELETE', '/tools/analytics')).json).toEqual({ ok: true });
    expect(parseItems(await asAdmin('GET', `/permissions?user_id=${id}`))).toEqual([]);
    expect((await validateToken(server, token, 'analytics')).json.permission).toBeNull();
    expect((await asAdmin('DELETE', '/tools/analytics')).status).toBe(404);
  });

  it.each([
    [{ slug: 'Big Letters', name: 'T' }, 'slug'],
    [{ slug: '-', name: 'T' }, 'slug'],
    [{ slug: 'x'.repeat(65), name: 'T' }, 'slug'],
    [{ slug: 'fine', name: '\u200b' }, 'name'],
    [{ slug: 'fine', name: 'T', url: 'javascript:alert(1)' }, 'url'],
    [{ slug: 'fine', name: 'T', url: 'https://user:secret@t.example' }, 'url'],
    [{ slug: 'fine', name: 'T', url: 'https://t.example/#x' }, 'url'],
    [{ name: 'T' }, 'slug'],
  ])('rejects the tool %j', async (body, field) => {
    const { status, json } = await asAdmin('POST', '/tools', body);
    expect([status, json.error, Object.keys(json.fields as object)]).toEqual([400, 'invalid_request', [field]]);
  });

  it('applies granted and revoked permissions at once in every process', async () => {
    const user = await createToolsAccount(server);
    const slug = await newTool();
    const profile = { valid: true, user: { id: user.id, email: user.email, name: 'Jane Developer', role: 'viewer' } };
    expect((await validateToken(server, user.token)).json).toEqual(profile);
    const withoutAccess = { ...profile, permission: null, error: 'No access to this tool' };
    for (const at of [server, secondServer])
      expect((await validateToken(at, user.token, slug)).json).toEqual(withoutAccess);
    for (const level of ['read', 'write', 'admin']) {
      const { status, json } = await grant(user.id, slug, level);
      expect([status, json]).toEqual([
        200,
        {
          ok: true,
          permission: {
            id: expect.any(String),
            user_id: user.id,
            tool_slug: slug,
            level,
            created_at: expect.any(String),
          },
        },
      ]);
      expect((await validateToken(server, user.token, slug)).json).toEqual({ ...profile, permission: level });
      await expect
        .poll(async () => (await validateToken(secondServer, user.token, slug)).json.permission, {
          timeout: 1000,
          interval: 25,
        })
        .toBe(level);
    }
    const { id } = parseItems(await asAdmin('GET', `/permissions?user_id=${user.id}`))[0]!;
    expect((await asAdmin('DELETE', `/permissions/${String(id)}`)).json).toEqual({ ok: true });
    expect((await validateToken(server, user.token, slug)).json).toEqual(withoutAccess);
    await expect
      .poll(async () => (await validateToken(secondServer, user.token, slug)).json.permission, {
        timeout: 1000,
        interval: 25,
      })
      .toBeNull();
  });

  it('revokes a permission by path, query or body', async () => {
    const { id: userId } = await createToolsAccount(server);
    const slug = await newTool();
    const requests: ((id: string) => [path: string, body?: object])[] = [
      (id) => [`/permissions/${id}`],
      (id) => [`/permissions?id=${id}`],
      () => [`/permissions?user_id=${userId}&tool_slug=${slug}`],
      () => ['/permissions', { user_id: userId, tool_slug: slug }],
      (id) => ['/permissions', { id }],
    ];
    for (const toRequest of requests) {
      const { json } = await grant(userId, slug);
      const [path, body] = toRequest((json.permission as { id: string }).id);
      expect((await asAdmin('DELETE', path, body)).json).toEqual({ ok: true });
      expect((await asAdmin('DELETE', path, body)).status).toBe(404);
    }
    for (const body of [{}, { user_id: userId }, { tool_slug: slug }])
      expect((await asAdmin('DELETE', '/permissions', body)).json.error).toBe('invalid_request');
  });

  it('stores one permission when it is granted 12 times at once', async () => {
    const { id } = await createToolsAccount(server);
    const slug = await newTool();
    const responses = await concurrently(12, (n) =>
      callTools(n % 2 ? server : secondServer, 'POST', '/permissions', {
        token: admin.token,
        body: { user_id: id, tool_slug: slug, level: 'write' },
      }),
    );
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
    expect(parseItems(await asAdmin('GET', `/permissions?user_id=${id}`))).toHaveLength(1);
  });

  it('gives administrators full access, and limits their API keys to the role of the key', async () => {
    const slug = await newTool();
    expect((await validateToken(server, admin.token, slug)).json.permission).toBe('admin');
    for (const [role, permission] of [
      ['viewer', 'read'],
      ['operator', 'write'],
      ['admin', 'admin'],
    ] as const) {
      const body = { name: 'K', role };
      const { json } = await callApi(server, 'POST', '/api-keys', { token: admin.token, body });
      const profile = (await validateToken(server, String(json.api_key), slug)).json;
      // A key is shown without the instance role of its owner.
      expect(profile).toMatchObject({
        permission,
        user: { id: admin.id, role: 'viewer' },
        principal: { type: 'api_key', role },
      });
    }
    const limited = { name: 'K', role: 'admin', scopes: ['memory:read'] };
    const { json } = await callApi(server, 'POST', '/api-keys', { token: admin.token, body: limited });
    const profile = (await validateToken(server, String(json.api_key), slug)).json;
    expect(profile).toMatchObject({ permission: null, user: { id: admin.id, role: 'viewer' } });
  });

  it('limits an API key to the lower of its role and the permission of its owner', async () => {
    const user = await createToolsAccount(server);
    const slug = await newTool();
    await grant(user.id, slug, 'write');
    for (const [role, permission] of [
      ['viewer', 'read'],
      ['operator', 'write'],
      ['admin', 'write'],
    ]) {
      const { json } = await callApi(server, 'POST', '/api-keys', { token: user.token, body: { name: 'K', role } });
      const headers = { 'x-api-key': String(json.api_key) };
      const profile = await callTools(server, 'POST', '/validate', { body: { tool: slug }, headers });
      expect(profile.json).toMatchObject({ valid: true, permission, user: { id: user.id } });
      expect(profile.json.principal).toMatchObject({ type: 'api_key', id: json.id, name: 'K', role, project_id: null });
    }
    const key = await createToolsKey(server, user.token);
    const organizationId = await server.core.organizations.personalOrganizationId(user.id);
    await addMember(server, organizationId, user.id, 'viewer');
    expect((await validateToken(server, key, slug)).json.permission).toBe('read'); // its owner was demoted in the organization
    const me = await callTools(server, 'GET', '/me', { token: key });
    expect(me.json.permissions).toEqual([{ tool_slug: slug, level: 'read' }]);
  });

  it('shows permissions in both profile endpoints', async () => {
    const user = await createToolsAccount(server);
    const slug = await newTool({ url: 'https://wiki.example' });
    await grant(user.id, slug, 'write');
    const me = await callTools(server, 'GET', '/me', { token: user.token });
    expect(me.json).toEqual({
      user: { id: user.id, email: user.email, name: 'Jane Developer', role: 'viewer' },
      permissions: [{ tool_slug: slug, level: 'write' }],
    });
    const apiProfile = await callApi(server, 'GET', '/auth/me', { token: user.token });
    expect(apiProfile.json.tools).toEqual([{ slug, name: 'Deal room', url: 'https://wiki.example', level: 'write' }]);
    const adminProfile = await callTools(server, 'GET', '/me', { token: admin.token });
    expect(adminProfile.json.permissions).toContainEqual({ tool_slug: slug, level: 'admin' });
  });

  it('rejects credentials within a second after revocation, suspension, sign-out or deletion', async () => {
    const revocations: ((user: TestUser, key: string) => Promise<unknown>)[] = [
      async ({ token }) => {
        const { id } = parseItems(await callTools(server, 'GET', '/keys', { token }))[0]!;
        expect((await callTools(server, 'DELETE', `/keys/${String(id)}`, { token })).json).toEqual({ ok: true });
      },
      ({ id }) => asAdmin('PUT', `/users/${id}`, { status: 'suspended' }),
      ({ id }) => asAdmin('DELETE', `/users/${id}`),
    ];
    for (const revoke of revocations) {
      const user = await createToolsAccount(server);
      const key = await createToolsKey(server, user.token);
      for (const at of [server, secondServer]) expect((await validateToken(at, key)).json.valid).toBe(true);
      await revoke(user, key);
      expect((await validateToken(server, key)).json).toMatchObject({ valid: false, error: 'invalid_token' });
      await expect
        .poll(async () => (await validateToken(secondServer, key)).status, { timeout: 1000, interval: 25 })
        .toBe(401);
    }
    const user = await createToolsAccount(server);
    expect((await validateToken(secondServer, user.token)).status).toBe(200);
    expect((await callTools(server, 'POST', '/logout', { token: user.token })).json).toEqual({ ok: true });
    expect((await validateToken(server, user.token)).status).toBe(401);
    await expect
      .poll(async () => (await validateToken(secondServer, user.token)).status, { timeout: 1000, interval: 25 })
      .toBe(401);
  });
});
