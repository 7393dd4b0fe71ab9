// Administration of accounts. At least one active administrator always remains.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
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

type Person = Awaited<ReturnType<typeof createToolsAccount>>;

const MINUTE_MS = 60_000;
const OTHER_PASSWORD = 'nine unrelated lanterns';

describe.each(stores)('administrators on $name', (store) => {
  let server: TestServer;
  let admin: Person;
  let aheadMs = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(Date.now() + aheadMs) } });
    admin = await createToolsAccount(server, 'admin');
  });
  afterAll(() => server.close());

  const by = (person: Person, method: string, path: string, body?: unknown) =>
    callTools(server, method, path, { token: person.token, ...(body !== undefined && { body }) });
  const asAdmin = (method: string, path: string, body?: unknown) => by(admin, method, path, body);
  const signIn = (email: string, password: string) =>
    callTools(server, 'POST', '/token', { body: { email, password } });

  it('create accounts that can sign in with the given password', async () => {
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

  it('create suspended accounts, and get errors by field', async () => {
    const made = await asAdmin('POST', '/users', { email: 's@example.com', password: PASSWORD, status: 'suspended' });
    expect(made.status).toBe(201);
    expect((await signIn('s@example.com', PASSWORD)).json.error).toBe('account_suspended');
    const bad = await asAdmin('POST', '/users', { email: 'none', password: 'short', role: 'viewer' });
    expect([bad.status, Object.keys(bad.json.fields as object).sort()]).toEqual([400, ['email', 'password']]);
    for (const body of [{}, { email: 'x@example.com', password: PASSWORD, role: 'owner' }])
      expect((await asAdmin('POST', '/users', body)).json.error).toBe('invalid_request');
  });

  it('list accounts in pages', async () => {
    const all = parseItems(await asAdmin('GET', '/users')).map(({ id }) => id);
    const paged: unknown[] = [];
    for (let page = ['']; page.length > 0; ) {
      const after = paged.length > 0 ? `&after=${String(paged.at(-1))}` : '';
      page = parseItems(await asAdmin('GET', `/users?limit=2${after}`)).map(({ id }) => String(id));
      paged.push(...page);
    }
    expect(paged).toEqual(all);
    expect(all).toHaveLength(await server.base.db.account.count());
  });

  it('revoke the sessions of an account with a new password or a suspension', async () => {
    const person = await createToolsAccount(server);
    const renamed = await asAdmin('PUT', `/users/${person.id}`, { name: 'Ann Other', email: 'ann@example.com' });
    expect(renamed.json.user).toMatchObject({ name: 'Ann Other', email: 'ann@example.com', email_verified: false });
    expect((await validateToken(server, person.token)).json.user).toMatchObject({ name: 'Ann Other' });

    expect((await asAdmin('PUT', `/users/${person.id}`, { password: OTHER_PASSWORD })).status).toBe(200);
    expect((await validateToken(server, person.token)).status).toBe(401);
    expect((await signIn('ann@example.com', PASSWORD)).status).toBe(401);
    const token = await requestToolsToken(server, 'ann@example.com', OTHER_PASSWORD);

    expect((await asAdmin('PUT', `/users/${person.id}`, { status: 'suspended' })).json.user).toMatchObject({
      status: 'suspended',
    });
    expect((await validateToken(server, token)).status).toBe(401);
    expect((await asAdmin('PUT', `/users/${person.id}`, { status: 'active' })).status).toBe(200);
    expect((await validateToken(server, token)).status).toBe(401); // a revoked session stays revoked
    expect((await signIn('ann@example.com', OTHER_PASSWORD)).status).toBe(200);
    const actions = (await server.core.audit.list({ accountId: person.id })).map(({ action }) => action);
    expect(actions).toEqual(
      expect.arrayContaining(['account.updated', 'password.set', 'account.suspended', 'account.reactivated']),
    );
  });

  it('cannot assign a taken e-mail address, and invalidate links to the old one', async () => {
    const [one, other] = [await createToolsAccount(server), await createToolsAccount(server)];
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: other.email.toUpperCase() })).json.error).toBe(
      'conflict',
    );
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: '' })).json.fields).toHaveProperty('email');
    const link = {
      tokenHash: one.id,
      purpose: 'reset',
      accountId: one.id,
      expiresAt: new Date(Date.now() + MINUTE_MS),
    };
    await server.base.db.oneTimeToken.create({ data: link });
    expect((await asAdmin('PUT', `/users/${one.id}`, { email: `new-${one.email}` })).status).toBe(200);
    expect(await server.base.db.oneTimeToken.count({ where: { accountId: one.id, purpose: 'reset' } })).toBe(0);
  });

  it('delete an account with its permissions, keys, sessions and personal organization', async () => {
    const person = await createToolsAccount(server);
    const key = await createToolsKey(server, person.token);
    await asAdmin('POST', '/tools', { slug: 'dealroom', name: 'Deal room' });
    await asAdmin('POST', '/permissions', { user_id: person.id, tool_slug: 'dealroom', level: 'read' });
    const [own] = await server.core.organizations.listFor(person.id);
    expect((await asAdmin('DELETE', `/users/${person.id}`)).json).toEqual({ ok: true });
    for (const credential of [key, person.token]) expect((await validateToken(server, credential)).status).toBe(401);
    const where = { accountId: person.id };
    const { db } = server.base;
    for (const count of [db.permission.count({ where }), db.apiKey.count({ where }), db.session.count({ where })])
      expect(await count).toBe(0);
    expect(await db.organization.count({ where: { id: own!.id } })).toBe(0);
    expect((await asAdmin('DELETE', `/users/${person.id}`)).status).toBe(404);
    expect((await signIn(person.email, PASSWORD)).json.error).toBe('invalid_credentials');
    expect(await server.core.audit.list({ accountId: person.id, action: 'account.deleted' })).toHaveLength(1);
  });

  it('cannot delete the last owner of an organization with other members', async () => {
    const [owner, guest] = [await createToolsAccount(server), await createToolsAccount(server)];
    const [own] = await server.core.organizations.listFor(owner.id);
    const member = { accountId: guest.id, organizationId: own!.id };
    await server.base.db.membership.create({ data: { ...member, role: 'viewer' } });
    const refused = await asAdmin('DELETE', `/users/${owner.id}`);
    expect([refused.status, refused.json.error]).toEqual([409, 'conflict']);
    expect((await validateToken(server, owner.token)).status).toBe(200); // nothing was deleted
    await server.base.db.membership.updateMany({ where: member, data: { role: 'owner' } });
    expect((await asAdmin('DELETE', `/users/${owner.id}`)).status).toBe(200);
    expect((await server.core.organizations.listFor(guest.id)).map(({ id }) => id)).toContain(own!.id);
  });

  it('need an authentication of the last ten minutes for changes, but not for reading', async () => {
    const { id } = await createToolsAccount(server);
    aheadMs = 11 * MINUTE_MS;
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
    aheadMs = 0;
  });

  it('list, create and revoke API keys of other accounts', async () => {
    const [person, other] = [await createToolsAccount(server), await createToolsAccount(server)];
    const made = await asAdmin('POST', '/keys', { name: 'ci-deploy', user_id: person.id });
    expect(made.json).toEqual({
      ok: true,
      key: expect.stringMatching(/^cb_[0-9a-f]{48}$/),
      prefix: expect.stringMatching(/^cb_[0-9a-f]{8}$/),
      warning: expect.stringContaining('Save this key now'),
    });
    expect((await validateToken(server, String(made.json.key))).json.user).toMatchObject({ id: person.id });
    const [key] = parseItems(await asAdmin('GET', `/keys?user_id=${person.id}`));
    expect(key).toMatchObject({ name: 'ci-deploy', user_id: person.id, prefix: made.json.prefix, expires_at: null });
    expect(parseItems(await by(person, 'GET', '/keys'))).toEqual([key]);
    const path = `/keys/${String(key!.id)}`;
    expect((await by(other, 'DELETE', path)).status).toBe(404);
    expect((await by(other, 'GET', `/keys?user_id=${person.id}`)).json.error).toBe('insufficient_role');
    const forPerson = { name: 'K', user_id: person.id };
    expect((await by(other, 'POST', '/keys', forPerson)).json.error).toBe('insufficient_role');
    expect((await asAdmin('DELETE', path)).json).toEqual({ ok: true });
    expect((await validateToken(server, String(made.json.key))).status).toBe(401);
    expect(parseItems(await by(person, 'GET', '/keys'))).toEqual([]);
    const [revoked] = await server.core.audit.list({ accountId: person.id, action: 'api_key.revoked' });
    expect(revoked?.actorId).toBe(admin.id);
  });

  it('cannot delete, demote or suspend the last administrator, also not concurrently', async () => {
    const fresh = await startServer({ store });
    const beside = await startServer({ sharedWith: fresh });
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
        const answers = await concurrently(6, (n) => {
          const [from, to] = n % 2 ? [one, other] : [other, one];
          const [method, path, body] = removals[(n + round) % removals.length]!(to.id);
          return callTools(n % 2 ? fresh : beside, method, path, { token: from.token, ...(body && { body }) });
        });
        expect(answers.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
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
      await beside.close();
      await fresh.close();
    }
  });

  it('cannot change accounts after they were demoted during the request', async () => {
    const [demoted, person] = [await createToolsAccount(server, 'admin'), await createToolsAccount(server)];
    const account = (await server.core.accounts.find(demoted.id))!;
    await server.base.db.account.update({ where: { id: demoted.id }, data: { role: 'viewer' } });
    const change = server.core.adminUsers.change(person.id, { role: 'admin' }, account, systemMeta);
    await expect(change).rejects.toMatchObject({ code: 'insufficient_role' });
    const deletion = server.core.adminUsers.remove(person.id, account, systemMeta);
    await expect(deletion).rejects.toMatchObject({ code: 'insufficient_role' });
  });
});
