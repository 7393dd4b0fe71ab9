// What administrators do with accounts; one of them always stays, whoever takes whom away at once.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { atOnce } from '../../support/token-family.js';
import { itemsOf, newKey, newPerson, tell, tokenOf, validate } from '../../support/tools-api.js';

type Person = Awaited<ReturnType<typeof newPerson>>;

const MINUTE_MS = 60_000;
const OTHER_PASSWORD = 'nine unrelated lanterns';

describe.each(stores)('administrators on $name', (store) => {
  let server: TestServer;
  let admin: Person;
  let aheadMs = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(Date.now() + aheadMs) } });
    admin = await newPerson(server, 'admin');
  });
  afterAll(() => server.close());

  const by = (person: Person, method: string, path: string, body?: unknown) =>
    tell(server, method, path, { token: person.token, ...(body !== undefined && { body }) });
  const asKeeper = (method: string, path: string, body?: unknown) => by(admin, method, path, body);
  const signIn = (email: string, password: string) => tell(server, 'POST', '/token', { body: { email, password } });

  it('make accounts, which sign in with what they were given', async () => {
    const body = { email: 'Investor@example.com', name: 'John Doe', password: OTHER_PASSWORD, role: 'viewer' };
    const { status, json } = await asKeeper('POST', '/users', body);
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
    expect((await asKeeper('POST', '/users', body)).json.error).toBe('conflict');
    expect(itemsOf(await asKeeper('GET', '/users'))).toContainEqual(user);
    const { id } = json.user as { id: string };
    const events = await server.core.audit.list({ accountId: id, action: 'account.created' });
    expect(events[0]).toMatchObject({ actorKind: 'account', actorId: admin.id });
  });

  it('make suspended ones, and say by field what cannot be', async () => {
    const made = await asKeeper('POST', '/users', { email: 's@example.com', password: PASSWORD, status: 'suspended' });
    expect(made.status).toBe(201);
    expect((await signIn('s@example.com', PASSWORD)).json.error).toBe('account_suspended');
    const bad = await asKeeper('POST', '/users', { email: 'none', password: 'short', role: 'viewer' });
    expect([bad.status, Object.keys(bad.json.fields as object).sort()]).toEqual([400, ['email', 'password']]);
    for (const body of [{}, { email: 'x@example.com', password: PASSWORD, role: 'owner' }])
      expect((await asKeeper('POST', '/users', body)).json.error).toBe('invalid_request');
  });

  it('read all of them, a page at a time', async () => {
    const all = itemsOf(await asKeeper('GET', '/users')).map(({ id }) => id);
    const paged: unknown[] = [];
    for (let page = ['']; page.length > 0; ) {
      const after = paged.length > 0 ? `&after=${String(paged.at(-1))}` : '';
      page = itemsOf(await asKeeper('GET', `/users?limit=2${after}`)).map(({ id }) => String(id));
      paged.push(...page);
    }
    expect(paged).toEqual(all);
    expect(all).toHaveLength(await server.base.db.account.count());
  });

  it('change an account: its logins end with another password, and with a suspension', async () => {
    const person = await newPerson(server);
    const renamed = await asKeeper('PUT', `/users/${person.id}`, { name: 'Ann Other', email: 'ann@example.com' });
    expect(renamed.json.user).toMatchObject({ name: 'Ann Other', email: 'ann@example.com', email_verified: false });
    expect((await validate(server, person.token)).json.user).toMatchObject({ name: 'Ann Other' });

    expect((await asKeeper('PUT', `/users/${person.id}`, { password: OTHER_PASSWORD })).status).toBe(200);
    expect((await validate(server, person.token)).status).toBe(401);
    expect((await signIn('ann@example.com', PASSWORD)).status).toBe(401);
    const token = await tokenOf(server, 'ann@example.com', OTHER_PASSWORD);

    expect((await asKeeper('PUT', `/users/${person.id}`, { status: 'suspended' })).json.user).toMatchObject({
      status: 'suspended',
    });
    expect((await validate(server, token)).status).toBe(401);
    expect((await asKeeper('PUT', `/users/${person.id}`, { status: 'active' })).status).toBe(200);
    expect((await validate(server, token)).status).toBe(401); // what has ended stays so
    expect((await signIn('ann@example.com', OTHER_PASSWORD)).status).toBe(200);
    const actions = (await server.core.audit.list({ accountId: person.id })).map(({ action }) => action);
    expect(actions).toEqual(
      expect.arrayContaining(['account.updated', 'password.set', 'account.suspended', 'account.reactivated']),
    );
  });

  it('give nobody the address of somebody else, and void the links that went to the old one', async () => {
    const [one, other] = [await newPerson(server), await newPerson(server)];
    expect((await asKeeper('PUT', `/users/${one.id}`, { email: other.email.toUpperCase() })).json.error).toBe(
      'conflict',
    );
    expect((await asKeeper('PUT', `/users/${one.id}`, { email: '' })).json.fields).toHaveProperty('email');
    const link = {
      tokenHash: one.id,
      purpose: 'reset',
      accountId: one.id,
      expiresAt: new Date(Date.now() + MINUTE_MS),
    };
    await server.base.db.oneTimeToken.create({ data: link });
    expect((await asKeeper('PUT', `/users/${one.id}`, { email: `new-${one.email}` })).status).toBe(200);
    expect(await server.base.db.oneTimeToken.count({ where: { accountId: one.id, purpose: 'reset' } })).toBe(0);
  });

  it('delete an account with all that is its own', async () => {
    const person = await newPerson(server);
    const key = await newKey(server, person.token);
    await asKeeper('POST', '/tools', { slug: 'dealroom', name: 'Deal room' });
    await asKeeper('POST', '/permissions', { user_id: person.id, tool_slug: 'dealroom', level: 'read' });
    const [own] = await server.core.organizations.listFor(person.id);
    expect((await asKeeper('DELETE', `/users/${person.id}`)).json).toEqual({ ok: true });
    for (const credential of [key, person.token]) expect((await validate(server, credential)).status).toBe(401);
    const where = { accountId: person.id };
    const { db } = server.base;
    for (const count of [db.permission.count({ where }), db.apiKey.count({ where }), db.session.count({ where })])
      expect(await count).toBe(0);
    expect(await db.organization.count({ where: { id: own!.id } })).toBe(0);
    expect((await asKeeper('DELETE', `/users/${person.id}`)).status).toBe(404);
    expect((await signIn(person.email, PASSWORD)).json.error).toBe('invalid_credentials');
    expect(await server.core.audit.list({ accountId: person.id, action: 'account.deleted' })).toHaveLength(1);
  });

  it('do not delete the last owner of an organization with others in it', async () => {
    const [owner, guest] = [await newPerson(server), await newPerson(server)];
    const [own] = await server.core.organizations.listFor(owner.id);
    const member = { accountId: guest.id, organizationId: own!.id };
    await server.base.db.membership.create({ data: { ...member, role: 'viewer' } });
    const refused = await asKeeper('DELETE', `/users/${owner.id}`);
    expect([refused.status, refused.json.error]).toEqual([409, 'conflict']);
    expect((await validate(server, owner.token)).status).toBe(200); // all or nothing
    await server.base.db.membership.updateMany({ where: member, data: { role: 'owner' } });
    expect((await asKeeper('DELETE', `/users/${owner.id}`)).status).toBe(200);
    expect((await server.core.organizations.listFor(guest.id)).map(({ id }) => id)).toContain(own!.id);
  });

  it('need a proof of the person that is not older than ten minutes, except to look', async () => {
    const { id } = await newPerson(server);
    aheadMs = 11 * MINUTE_MS;
    for (const [method, path, body] of [
      ['POST', '/users', { email: 'late@example.com', password: PASSWORD }],
      ['PUT', `/users/${id}`, { name: 'Late' }],
      ['DELETE', `/users/${id}`],
      ['POST', '/tools', { slug: 'late', name: 'Late' }],
      ['POST', '/permissions', { user_id: id, tool_slug: 'dealroom', level: 'read' }],
      ['POST', '/keys', { name: 'Late' }],
    ] as const)
      expect((await asKeeper(method, path, body)).json.error, `${method} ${path}`).toBe('reauth_required');
    expect((await asKeeper('GET', '/users')).status).toBe(200);
    aheadMs = 0;
  });

  it('see and revoke the keys of others, and make some for them', async () => {
    const [person, stranger] = [await newPerson(server), await newPerson(server)];
    const made = await asKeeper('POST', '/keys', { name: 'ci-deploy', user_id: person.id });
    expect(made.json).toEqual({
      ok: true,
      key: expect.stringMatching(/^cb_[0-9a-f]{48}$/),
      prefix: expect.stringMatching(/^cb_[0-9a-f]{8}$/),
      warning: expect.stringContaining('Save this key now'),
    });
    expect((await validate(server, String(made.json.key))).json.user).toMatchObject({ id: person.id });
    const [key] = itemsOf(await asKeeper('GET', `/keys?user_id=${person.id}`));
    expect(key).toMatchObject({ name: 'ci-deploy', user_id: person.id, prefix: made.json.prefix, expires_at: null });
    expect(itemsOf(await by(person, 'GET', '/keys'))).toEqual([key]);
    const path = `/keys/${String(key!.id)}`;
    expect((await by(stranger, 'DELETE', path)).status).toBe(404);
    expect((await by(stranger, 'GET', `/keys?user_id=${person.id}`)).json.error).toBe('insufficient_role');
    const foreign = { name: 'K', user_id: person.id };
    expect((await by(stranger, 'POST', '/keys', foreign)).json.error).toBe('insufficient_role');
    expect((await asKeeper('DELETE', path)).json).toEqual({ ok: true });
    expect((await validate(server, String(made.json.key))).status).toBe(401);
    expect(itemsOf(await by(person, 'GET', '/keys'))).toEqual([]);
    const [revoked] = await server.core.audit.list({ accountId: person.id, action: 'api_key.revoked' });
    expect(revoked?.actorId).toBe(admin.id);
  });

  it('stay: the last of them is not removed, demoted or suspended, whoever tries how at once', async () => {
    const lonely = await startServer({ store });
    const beside = await startServer({ beside: lonely });
    const rounds = store.name === 'SQLite' ? 1 : 4; // there, one change waits for the other anyway
    try {
      const away: ((id: string) => [method: string, path: string, body?: object])[] = [
        (id) => ['DELETE', `/users/${id}`],
        (id) => ['PUT', `/users/${id}`, { role: 'viewer' }],
        (id) => ['PUT', `/users/${id}`, { status: 'suspended' }],
      ];
      const isInstanceAdmin = { role: 'admin', status: 'active' };
      for (let round = 0; round < rounds; round += 1) {
        await lonely.base.db.account.deleteMany();
        await lonely.base.invalidationBus.publish('accounts');
        const [one, other] = [await newPerson(lonely, 'admin'), await newPerson(lonely, 'admin')];
        const answers = await atOnce(6, (n) => {
          const [from, to] = n % 2 ? [one, other] : [other, one];
          const [method, path, body] = away[(n + round) % away.length]!(to.id);
          return tell(n % 2 ? lonely : beside, method, path, { token: from.token, ...(body && { body }) });
        });
        expect(answers.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
        expect(await lonely.base.db.account.count({ where: isInstanceAdmin })).toBeGreaterThan(0);
      }
      const last = await lonely.base.db.account.findFirstOrThrow({ where: isInstanceAdmin });
      const token = await tokenOf(lonely, last.email);
      for (const way of away) {
        const [method, path, body] = way(last.id);
        const { status, json } = await tell(lonely, method, path, { token, ...(body && { body }) });
        expect([status, json.error]).toEqual([409, 'conflict']);
      }
      expect((await tell(lonely, 'PUT', `/users/${last.id}`, { token, body: { name: 'Still here' } })).status).toBe(
        200,
      );
    } finally {
      await beside.close();
      await lonely.close();
    }
  });

  it('change nobody any more once they are lowered, though they were let in a moment before', async () => {
    const [lowered, person] = [await newPerson(server, 'admin'), await newPerson(server)];
    const account = (await server.core.accounts.find(lowered.id))!;
    await server.base.db.account.update({ where: { id: lowered.id }, data: { role: 'viewer' } });
    const change = server.core.adminUsers.change(person.id, { role: 'admin' }, account, systemMeta);
    await expect(change).rejects.toMatchObject({ code: 'insufficient_role' });
    const removal = server.core.adminUsers.remove(person.id, account, systemMeta);
    await expect(removal).rejects.toMatchObject({ code: 'insufficient_role' });
  });
});
