// Administration of accounts. At least one active administrator always remains.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember, changeAccount } from '../../support/accounts.js';
import { mailTo, tokenIn } from '../../support/mailbox.js';
import { movableClock } from '../../support/movable-clock.js';
import { callTools } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';
import {
  createToolsAccount,
  createToolsKey,
  parseItems,
  requestToolsToken,
  validateToken,
} from '../../support/tools-api.js';

type TestUser = Awaited<ReturnType<typeof createToolsAccount>>;

const MINUTE_MS = 60_000;
const OTHER_PASSWORD = 'nine unrelated lanterns';

describe.each(stores)('the admin API on $name', (store) => {
  let server: TestServer;
  let admin: TestUser;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ store, clock });
    admin = await createToolsAccount(server, 'admin');
  });
  afterAll(() => server.close());

  const callAs = (user: TestUser, method: string, path: string, body?: unknown) =>
    callTools(server, method, path, { token: user.token, ...(body !== undefined && { body }) });
  const asAdmin = (method: string, path: string, body?: unknown) => callAs(admin, method, path, body);
  const signIn = (email: string, password: string) =>
    callTools(server, 'POST', '/token', { body: { email, password } });

  it('creates accounts that can sign in with the given password', async () => {
    const body = { email: 'Investor@example.com', name: 'John Doe', password: OTHER_PASSWORD, role: 'viewer' };
    const { status, json } = await asAdmin('POST', '/users', body);
    const user = {
      id: expect.any(String),
      email: 'investor@example.com',
      name: 'John Doe',
      role: 'viewer',
      status: 'active',
      email_verified: false,
      created_at: expect.any(String),
    };
    expect([status, json]).toEqual([201, { ok: true, user }]);
    expect((await signIn('investor@example.com', OTHER_PASSWORD)).status).toBe(200);
    expect((await asAdmin('POST', '/users', body)).json.error).toBe('conflict');
    expect(parseItems(await asAdmin('GET', '/users'))).toContainEqual(user);
    const { id } = json.user as { id: string };
    const events = await server.core.audit.list({ accountId: id, action: 'account.created' });
    expect(events[0]).toMatchObject({ actorKind: 'account', actorId: admin.id });
  });

  it('creates suspended accounts, and reports errors by field', async () => {
    const created = await asAdmin('POST', '/users', {
      email: 's@example.com',
      password: PASSWORD,
      status: 'suspended',
    });
    expect(created.status).toBe(201);
    expect((await signIn('s@example.com', PASSWORD)).json.error).toBe('account_suspended');
    const rejected = await asAdmin('POST', '/users', { email: 'none', password: 'short', role: 'viewer' });
    expect([rejected.status, Object.keys(rejected.json.fields as object).sort()]).toEqual([400, ['email', 'password']]);
    for (const body of [{}, { email: 'x@example.com', password: PASSWORD, role: 'owner' }])
      expect((await asAdmin('POST', '/users', body)).json.error).toBe('invalid_request');
  });

  it('revokes the sessions of an account that gets a new password or is suspended', async () => {
    const user = await createToolsAccount(server);
    const renamed = await asAdmin('PUT', `/users/${user.id}`, { name: 'Ann Other', email: 'ann@example.com' });
    expect(renamed.json.user).toMatchObject({ name: 'Ann Other', email: 'ann@example.com', email_verified: false });
    expect((await validateToken(server, user.token)).json.user).toMatchObject({ name: 'Ann Other' });

    expect((await asAdmin('PUT', `/users/${user.id}`, { password: OTHER_PASSWORD })).status).toBe(200);
    expect((await validateToken(server, user.token)).status).toBe(401);
    expect((await signIn('ann@example.com', PASSWORD)).status).toBe(401);
    const token = await requestToolsToken(server, 'ann@example.com', OTHER_PASSWORD);

    expect((await asAdmin('PUT', `/users/${user.id}`, { status: 'suspended' })).json.user).toMatchObject({
      status: 'suspended',
    });
    expect((await validateToken(server, token)).status).toBe(401);
    expect((await asAdmin('PUT', `/users/${user.id}`, { status: 'active' })).status).toBe(200);
    expect((await validateToken(server, token)).status).toBe(401); // a revoked session stays revoked
    expect((await signIn('ann@example.com', OTHER_PASSWORD)).status).toBe(200);
    const actions = (await server.core.audit.list({ accountId: user.id })).map(({ action }) => action);
    expect(actions).toEqual(
      expect.arrayContaining(['account.updated', 'password.set', 'account.suspended', 'account.reactivated']),
    );
    const ended = await server.core.audit.list({ accountId: user.id, action: 'session.ended' });
    expect(ended.map(({ actorId }) => actorId)).toEqual(ended.map(() => admin.id));
    expect(ended.length).toBeGreaterThan(0);
  });

  it('rejects an e-mail address that is taken, and invalidates links mailed to the old address', async () => {
    const [one, other] = [await createToolsAccount(server), await createToolsAccount(server)];
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: other.email.toUpperCase() })).json.error).toBe(
      'conflict',
    );
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: '' })).json.fields).toHaveProperty('email');
    await server.core.passwordReset.requestReset(one.email, systemMeta);
    const resetToken = tokenIn(await mailTo(server, one.email, /Choose/));
    expect(await server.core.passwordReset.isValid(resetToken)).toBe(true);
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: `new-${one.email}` })).status).toBe(200);
    expect(await server.core.passwordReset.isValid(resetToken)).toBe(false);
  });

  it('deletes an account with its permissions, keys, sessions and personal organization', async () => {
    const user = await createToolsAccount(server);
    const key = await createToolsKey(server, user.token);
    await asAdmin('POST', '/tools', { slug: 'dealroom', name: 'Deal room' });
    await asAdmin('POST', '/permissions', { user_id: user.id, tool_slug: 'dealroom', level: 'read' });
    const [personal] = await server.core.organizations.listFor(user.id);
    expect((await asAdmin('DELETE', `/users/${user.id}`)).json).toEqual({ ok: true });
    for (const credential of [key, user.token]) expect((await validateToken(server, credential)).status).toBe(401);
    const where = { accountId: user.id };
    const { db } = server.base;
    for (const count of [db.permission.count({ where }), db.apiKey.count({ where }), db.session.count({ where })])
      expect(await count).toBe(0);
    expect(await db.organization.count({ where: { id: personal!.id } })).toBe(0);
    expect((await asAdmin('DELETE', `/users/${user.id}`)).status).toBe(404);
    expect((await signIn(user.email, PASSWORD)).json.error).toBe('invalid_credentials');
    expect(await server.core.audit.list({ accountId: user.id, action: 'account.deleted' })).toHaveLength(1);
  });

  it('does not delete the last owner of an organization with other members', async () => {
    const [owner, guest] = [await createToolsAccount(server), await createToolsAccount(server)];
    const { id: organizationId } = (await server.core.organizations.listFor(owner.id))[0]!;
    await addMember(server, organizationId, guest.id, 'viewer');
    const rejected = await asAdmin('DELETE', `/users/${owner.id}`);
    expect([rejected.status, rejected.json.error]).toEqual([409, 'conflict']);
    expect((await validateToken(server, owner.token)).status).toBe(200); // nothing was deleted
    await addMember(server, organizationId, guest.id, 'owner');
    expect((await asAdmin('DELETE', `/users/${owner.id}`)).status).toBe(200);
    expect((await server.core.organizations.listFor(guest.id)).map(({ id }) => id)).toContain(organizationId);
  });

  it('requires an authentication of the last ten minutes for changes, but not for reading', async () => {
    const { id } = await createToolsAccount(server);
    await later(11 * MINUTE_MS, async () => {
      for (const [method, path, body] of [
        ['POST', '/users', { email: 'late@example.com', password: PASSWORD }],
        ['PUT', `/users/${id}`, { name: 'Late' }],
        ['DELETE', `/users/${id}`],
        ['POST', '/tools', { slug: 'late', name: 'Late' }],
        ['POST', '/permissions', { user_id: id, tool_slug: 'dealroom', level: 'read' }],
        ['POST', '/keys', { name: 'Late' }],
      ] as const)
        expect((await asAdmin(method, path, body)).json.error, `${method} ${path}`).toBe('reauth_required');
      expect((await asAdmin('GET', '/users')).status).toBe(200);
    });
  });

  it('lists, creates and revokes API keys of other accounts', async () => {
    const [user, other] = [await createToolsAccount(server), await createToolsAccount(server)];
    const created = await asAdmin('POST', '/keys', { name: 'ci-deploy', user_id: user.id });
    expect(created.json).toEqual({
      ok: true,
      key: expect.stringMatching(/^cb_[0-9a-f]{48}$/),
      prefix: expect.stringMatching(/^cb_[0-9a-f]{8}$/),
      warning: expect.stringContaining('Save this key now'),
    });
    expect((await validateToken(server, String(created.json.key))).json.user).toMatchObject({ id: user.id });
    const [key] = parseItems(await asAdmin('GET', `/keys?user_id=${user.id}`));
    expect(key).toMatchObject({ name: 'ci-deploy', user_id: user.id, prefix: created.json.prefix, expires_at: null });
    expect(parseItems(await callAs(user, 'GET', '/keys'))).toEqual([key]);
    const path = `/keys/${String(key!.id)}`;
    expect((await callAs(other, 'DELETE', path)).status).toBe(404);
    expect((await callAs(other, 'GET', `/keys?user_id=${user.id}`)).json.error).toBe('insufficient_role');
    const forOtherUser = { name: 'K', user_id: user.id };
    expect((await callAs(other, 'POST', '/keys', forOtherUser)).json.error).toBe('insufficient_role');
    expect((await asAdmin('DELETE', path)).json).toEqual({ ok: true });
    expect((await validateToken(server, String(created.json.key))).status).toBe(401);
    expect(parseItems(await callAs(user, 'GET', '/keys'))).toEqual([]);
    const [revoked] = await server.core.audit.list({ accountId: user.id, action: 'api_key.revoked' });
    expect(revoked?.actorId).toBe(admin.id);
  });

  it('does not delete, demote or suspend the last administrator, even in concurrent requests', async () => {
    const fresh = await startServer({ store });
    const secondServer = await startServer({ sharedWith: fresh });
    const rounds = store.name === 'SQLite' ? 1 : 4; // SQLite serializes all writes
    try {
      const removals: ((id: string) => [method: string, path: string, body?: object])[] = [
        (id) => ['DELETE', `/users/${id}`],
        (id) => ['PUT', `/users/${id}`, { role: 'viewer' }],
        (id) => ['PUT', `/users/${id}`, { status: 'suspended' }],
      ];
      const isInstanceAdmin = { role: 'admin', status: 'active' };
      for (let round = 0; round < rounds; round += 1) {
        await fresh.base.db.account.deleteMany();
        await fresh.base.invalidationBus.publish('accounts');
        const [one, other] = [await createToolsAccount(fresh, 'admin'), await createToolsAccount(fresh, 'admin')];
        const responses = await concurrently(6, (n) => {
          const [from, to] = n % 2 ? [one, other] : [other, one];
          const [method, path, body] = removals[(n + round) % removals.length]!(to.id);
          return callTools(n % 2 ? fresh : secondServer, method, path, { token: from.token, ...(body && { body }) });
        });
        expect(responses.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
        expect(await fresh.base.db.account.count({ where: isInstanceAdmin })).toBeGreaterThan(0);
      }
      const last = await fresh.base.db.account.findFirstOrThrow({ where: isInstanceAdmin });
      const token = await requestToolsToken(fresh, last.email);
      for (const removal of removals) {
        const [method, path, body] = removal(last.id);
        const { status, json } = await callTools(fresh, method, path, { token, ...(body && { body }) });
        expect([status, json.error]).toEqual([409, 'conflict']);
      }
      expect((await callTools(fresh, 'PUT', `/users/${last.id}`, { token, body: { name: 'Still here' } })).status).toBe(
        200,
      );
    } finally {
      await secondServer.close();
      await fresh.close();
    }
  });

  it('keeps an administrator when all of them demote themselves or each other at the same time', async () => {
    const fresh = await startServer({ store });
    const secondServer = await startServer({ sharedWith: fresh });
    try {
      for (let round = 0; round < (store.name === 'SQLite' ? 1 : 6); round += 1) {
        await fresh.base.db.account.deleteMany();
        await fresh.base.invalidationBus.publish('accounts');
        const admins = await Promise.all([1, 2, 3].map(() => createToolsAccount(fresh, 'admin')));
        const responses = await concurrently(9, (n) => {
          const [from, to] = [admins[n % 3]!, admins[(n + (n < 6 ? 0 : 1)) % 3]!];
          const body = n % 2 ? { role: 'viewer' } : { status: 'suspended' };
          return callTools(n % 2 ? fresh : secondServer, 'PUT', `/users/${to.id}`, { token: from.token, body });
        });
        expect(responses.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
        expect(responses.some(({ status }) => status === 200)).toBe(true);
        const where = { role: 'admin', status: 'active' };
        expect(await fresh.base.db.account.count({ where })).toBeGreaterThan(0);
      }
    } finally {
      await secondServer.close();
      await fresh.close();
    }
  });

  it('rejects changes by an administrator who was demoted during the request', async () => {
    const [demoted, user] = [await createToolsAccount(server, 'admin'), await createToolsAccount(server)];
    const account = (await server.core.accounts.find(demoted.id))!;
    await changeAccount(server, demoted.id, { role: 'viewer' });
    const change = server.core.userAdministration.change(user.id, { role: 'admin' }, account, systemMeta);
    await expect(change).rejects.toMatchObject({ code: 'insufficient_role' });
    const deletion = server.core.userAdministration.remove(user.id, account, systemMeta);
    await expect(deletion).rejects.toMatchObject({ code: 'insufficient_role' });
  });
});
