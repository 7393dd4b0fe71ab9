// Invitations to organizations: roles, expiry, single use, and limits.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { logIn } from '../../support/api.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

const DAY_MS = 86_400_000;

describe.each(stores)('invitations on $name', (store) => {
  let server: TestServer;
  let aheadMs = 0;
  let people = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock: { now: () => new Date(Date.now() + aheadMs) } });
  });
  afterAll(() => server.close());

  type Person = Awaited<ReturnType<typeof person>>;

  async function person({ verified = true, email = `invited${++people}@example.com`, name = 'Jane' } = {}) {
    const { id } = await server.core.accounts.create({ email, name, password: PASSWORD }, systemMeta, { verified });
    const { access_token: token } = await logIn(server, email);
    return { id, email, token };
  }
  const as = ({ token }: Person, method: string, path: string, body?: object) =>
    callApi(server, method, path, { token, body });

  /** An organization with an owner and an admin. */
  async function newOrganization(name = 'Acme') {
    const owner = await person();
    const id = String((await as(owner, 'POST', '/organizations', { name })).json.id);
    const member = async (role: string) => {
      const one = await person();
      await server.base.db.membership.create({ data: { accountId: one.id, organizationId: id, role } });
      return one;
    };
    const admin = await member('admin');
    const invite = (by: Person, email: string, role = 'viewer') =>
      as(by, 'POST', `/organizations/${id}/invitations`, { email, role });
    const open = async (by = owner) => JSON.parse((await as(by, 'GET', `/organizations/${id}/invitations`)).text);
    const revoke = (by: Person, invitation: unknown) =>
      as(by, 'DELETE', `/organizations/${id}/invitations/${invitation}`);
    const roleOf = async ({ id: accountId }: Person) =>
      (await server.core.organizations.roleOf({ accountId }, id)) ?? 'none';
    return { id, owner, admin, member, invite, open, revoke, roleOf };
  }
  const tokenTo = async (email: string) => tokenIn(await mailTo(server, email, /invited/));
  const accept = (by: Person, token: string) => as(by, 'POST', '/invitations/accept', { token });

  it('makes the recipient a member with the invited role, once', async () => {
    const { id, admin, invite, open, roleOf } = await newOrganization();
    const guest = await person();
    const made = await invite(admin, guest.email.toUpperCase(), 'operator');
    expect([made.status, made.json]).toMatchObject([
      201,
      { organization_id: id, email: guest.email, role: 'operator', invited_by: { id: admin.id, email: admin.email } },
    ]);
    expect(await open()).toEqual([made.json]);
    const token = await tokenTo(guest.email);
    expect(made.text).not.toContain(token);
    const joined = await accept(guest, token);
    expect([joined.status, joined.json]).toMatchObject([200, { id, name: 'Acme', role: 'operator' }]);
    expect(await roleOf(guest)).toBe('operator');
    expect(await open()).toEqual([]);
    expect((await accept(guest, token)).json.error).toBe('not_found');
    expect((await invite(admin, guest.email)).json.error).toBe('conflict');
    const events = await server.core.audit.list({ organizationId: id, action: { startsWith: 'invitation.' } });
    expect(events.map(({ action, actorId }) => [action, actorId])).toEqual([
      ['invitation.accepted', guest.id],
      ['invitation.created', admin.id],
    ]);
    expect(JSON.stringify(await server.base.db.auditEvent.findMany())).not.toContain(token);
  });

  it('lets admins and owners invite to roles up to their own', async () => {
    const { owner, admin, member, invite, open, revoke } = await newOrganization();
    const [operator, viewer] = [await member('operator'), await member('viewer')];
    for (const by of [operator, viewer]) {
      expect((await invite(by, 'a@example.com')).json.error).toBe('insufficient_role');
      expect((await as(by, 'GET', '/organizations/co_none/invitations')).json.error).toBe('not_found');
    }
    expect((await invite(admin, 'a@example.com', 'owner')).json.error).toBe('insufficient_role');
    const high = await invite(owner, 'a@example.com', 'owner');
    expect(high.status).toBe(201);
    // A lower role can neither replace nor revoke it.
    expect((await invite(admin, 'a@example.com', 'viewer')).json.error).toBe('insufficient_role');
    expect((await revoke(admin, high.json.id)).json.error).toBe('insufficient_role');
    expect((await revoke(viewer, high.json.id)).json.error).toBe('insufficient_role');
    expect(await open(admin)).toHaveLength(1);
    expect((await revoke(owner, high.json.id)).status).toBe(200);
    expect(await open()).toEqual([]);
    for (const body of [{ email: 'nonsense', role: 'viewer' }, { email: 'a@example.com', role: 'king' }, {}]) {
      expect((await invite(owner, body.email as string, body.role)).json.error).toBe('invalid_request');
    }
  });

  it('hides invitations from accounts outside the organization', async () => {
    const { id, owner, invite, revoke } = await newOrganization();
    const outsider = await person();
    const made = await invite(owner, 'b@example.com');
    for (const answer of [
      await as(outsider, 'GET', `/organizations/${id}/invitations`),
      await invite(outsider, 'c@example.com'),
      await revoke(outsider, made.json.id),
    ]) {
      expect([answer.status, answer.json.error]).toEqual([404, 'not_found']);
    }
    const otherBrowser = await newOrganization();
    expect((await otherBrowser.revoke(otherBrowser.owner, made.json.id)).json.error).toBe('not_found');
  });

  it('accepts only the account with the invited address, after it is verified', async () => {
    const { owner, invite, roleOf } = await newOrganization();
    const guest = await person({ verified: false });
    const attacker = await person();
    await invite(owner, guest.email);
    const token = await tokenTo(guest.email);
    for (const [by, why] of [
      [attacker, 'for another'],
      [guest, 'Verify your'],
    ] as const) {
      const answer = await accept(by, token);
      expect([answer.status, answer.json.error]).toEqual([403, 'insufficient_role']);
      expect(answer.json.error_description).toContain(why);
      expect(await roleOf(by)).toBe('none');
    }
    await server.core.emailVerification.request((await server.core.accounts.find(guest.id))!);
    await server.core.emailVerification.verify(tokenIn(await mailTo(server, guest.email, /Confirm/)), systemMeta);
    expect((await accept(guest, token)).status).toBe(200); // the failed attempts did not consume it
  });

  it('expires after a week, and only the newest link works', async () => {
    const { id, owner, invite, open } = await newOrganization();
    const guest = await person();
    const first = await invite(owner, guest.email, 'viewer');
    const old = await tokenTo(guest.email);
    const second = await invite(owner, guest.email, 'admin');
    const token = await tokenTo(guest.email);
    expect(await open()).toMatchObject([{ id: second.json.id, role: 'admin' }]);
    expect(first.json.id).not.toBe(second.json.id);
    expect((await accept(guest, old)).json.error).toBe('not_found');
    const account = (await server.core.accounts.find(guest.id))!;
    aheadMs = 7 * DAY_MS + 1000;
    try {
      await expect(server.core.invitations.accept(token, account, systemMeta)).rejects.toMatchObject({ status: 404 });
      expect(await server.core.invitations.find(token)).toBeUndefined();
      expect(await server.core.invitations.list(owner.id, id)).toEqual([]);
      await server.core.cleanup.sweepAll();
      expect(await server.base.db.invitation.count({ where: { organizationId: id } })).toBe(0);
      aheadMs = 0;
      expect((await accept(guest, token)).json.error).toBe('not_found');
    } finally {
      aheadMs = 0;
    }
    for (const wrong of ['x', '']) expect((await accept(guest, wrong)).json.error).toBe('not_found');
  });

  it('is accepted once when 12 requests use it at once', async () => {
    const { id, owner, invite } = await newOrganization();
    const guest = await person();
    await invite(owner, guest.email);
    const token = await tokenTo(guest.email);
    const answers = await concurrently(12, () => accept(guest, token));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(11).fill(404)]);
    expect(await server.base.db.membership.count({ where: { accountId: guest.id, organizationId: id } })).toBe(1);
    expect(await server.core.audit.list({ accountId: guest.id, action: 'invitation.accepted' })).toHaveLength(1);
  });

  it('keeps one invitation per address when it is sent several times at once', async () => {
    const { owner, invite, open } = await newOrganization();
    const answers = await concurrently(6, () => invite(owner, 'twin@example.com'));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201));
    expect(await open()).toHaveLength(1);
  });

  it('becomes invalid when the inviter is demoted, removed or suspended', async () => {
    const { id, owner, admin, invite, open, roleOf } = await newOrganization();
    const guests = { viewer: await person(), admin: await person() };
    const role = (value: string) => as(owner, 'PATCH', `/organizations/${id}/members/${admin.id}`, { role: value });
    const tokens: Record<string, string> = {};
    const inviteAll = async () => {
      for (const [wanted, guest] of Object.entries(guests)) {
        expect((await invite(admin, guest.email, wanted)).status).toBe(201);
        tokens[wanted] = await tokenTo(guest.email);
      }
    };
    const expectInvalid = async () => {
      for (const [wanted, guest] of Object.entries(guests)) {
        expect((await accept(guest, tokens[wanted]!)).json.error).toBe('not_found');
        expect(await roleOf(guest)).toBe('none');
      }
    };
    await inviteAll();
    await role('viewer');
    await expectInvalid();
    await role('admin'); // restoring the role does not restore it
    await expectInvalid();
    expect(await open()).toEqual([]);

    await inviteAll();
    await server.base.db.account.update({ where: { id: admin.id }, data: { status: 'suspended' } });
    await expectInvalid();
    await server.base.db.account.update({ where: { id: admin.id }, data: { status: 'active' } });
    expect((await accept(guests.viewer, tokens.viewer!)).status).toBe(200);
    expect((await as(owner, 'DELETE', `/organizations/${id}/members/${admin.id}`)).status).toBe(200);
    expect((await accept(guests.admin, tokens.admin!)).json.error).toBe('not_found');
  });

  it('keeps the invitations that a demoted owner could still send', async () => {
    const { id, owner, admin, invite, open } = await newOrganization();
    const changeRole = (member: Person, role: string) =>
      as(owner, 'PATCH', `/organizations/${id}/members/${member.id}`, { role });
    await changeRole(admin, 'owner');
    await invite(admin, 'low@example.com', 'operator');
    await invite(admin, 'high@example.com', 'owner');
    await changeRole(admin, 'admin');
    expect(await open()).toMatchObject([{ email: 'low@example.com' }]);
  });

  it('is either accepted or invalid when the inviter is removed at the same time', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { id, owner, admin, invite, roleOf } = await newOrganization();
      const guest = await person();
      await invite(admin, guest.email);
      const token = await tokenTo(guest.email);
      const [joined, removed] = await Promise.all([
        accept(guest, token),
        as(owner, 'DELETE', `/organizations/${id}/members/${admin.id}`),
      ]);
      expect(removed.status).toBe(200);
      expect([joined.status, await roleOf(guest)]).toEqual(joined.status === 200 ? [200, 'viewer'] : [404, 'none']);
    }
  });

  it('requires a verified inviter, and limits mails to one address', async () => {
    const inviter = await person({ verified: false });
    const own = await server.core.organizations.personalOrganizationId(inviter.id);
    const refused = await as(inviter, 'POST', `/organizations/${own}/invitations`, {
      email: 'd@example.com',
      role: 'viewer',
    });
    expect([refused.status, refused.json.error]).toEqual([403, 'insufficient_role']);
    const email = `victim-${store.name.replaceAll(/\W/g, '')}@example.com`.toLowerCase();
    const { owner, invite } = await newOrganization();
    const statuses: number[] = [];
    for (let n = 0; n < 12; n += 1) statuses.push((await invite(owner, email)).status);
    expect(statuses).toEqual([...Array(10).fill(201), 429, 429]);
    // The limit spans organizations of one inviter, but other inviters have their own.
    const { json } = await as(owner, 'POST', '/organizations', { name: 'Another' });
    const again = await as(owner, 'POST', `/organizations/${json.id}/invitations`, { email, role: 'viewer' });
    expect([again.status, again.json.error]).toEqual([429, 'rate_limited']);
    const another = await newOrganization();
    expect((await another.invite(another.owner, email)).status).toBe(201);
    expect(await mailsTo(server, email)).toHaveLength(11);
    const many = { name: 'invitation-address', points: 30, seconds: DAY_MS / 1000 };
    for (let n = 11; n < 30; n += 1) await server.base.rateLimiter.consume(many, email);
    expect((await another.invite(another.owner, email)).status).toBe(429);
    expect(await mailsTo(server, email)).toHaveLength(11);
  });

  it('mails no names chosen by the inviter, and stores only the hash of the token', async () => {
    const { owner, invite } = await newOrganization('Win now: http://evil.example');
    await server.base.db.account.update({ where: { id: owner.id }, data: { name: 'http://evil.example' } });
    await invite(owner, 'reader@example.com');
    const mail = await mailTo(server, 'reader@example.com', /invited/);
    expect(JSON.stringify(mail)).not.toContain('evil');
    expect(mail.text).toContain(owner.email);
    const rows = await server.base.db.invitation.findMany();
    expect(rows.length).toBeGreaterThan(0);
    expect(JSON.stringify(rows)).not.toContain(tokenIn(mail));
    expect(server.lines.join('\n')).not.toContain(tokenIn(mail));
  });
});
