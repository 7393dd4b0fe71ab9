// Invitations to organizations: roles, expiry, single use, and limits.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_PAGE } from '../../../src/base/paging.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { OrganizationRole } from '../../../src/core/organizations/roles.js';
import { addMember, changeAccount, suspendAccount, verifyEmail } from '../../support/accounts.js';
import { logIn } from '../../support/api.js';
import { mailsTo, mailTo, tokenIn } from '../../support/mailbox.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

const DAY_MS = 86_400_000;

describe.each(stores)('an invitation on $name', (store) => {
  let server: TestServer;
  const { clock, later } = movableClock();
  let users = 0;
  beforeAll(async () => {
    server = await startServer({ store, clock });
  });
  afterAll(() => server.close());

  type TestUser = Awaited<ReturnType<typeof newUser>>;

  async function newUser({ verified = true, email = `invited${++users}@example.com`, name = 'Jane' } = {}) {
    const { id } = await server.core.accounts.create({ email, name, password: PASSWORD }, systemMeta, { verified });
    const { access_token: token } = await logIn(server, email);
    return { id, email, token };
  }
  const callAs = ({ token }: TestUser, method: string, path: string, body?: object) =>
    callApi(server, method, path, { token, body });

  /** An organization with an owner and an admin. */
  async function newOrganization(name = 'Acme') {
    const owner = await newUser();
    const id = String((await callAs(owner, 'POST', '/organizations', { name })).json.id);
    const member = async (role: OrganizationRole) => {
      const user = await newUser();
      await addMember(server, id, user.id, role);
      return user;
    };
    const admin = await member('admin');
    const invite = (by: TestUser, email: string, role = 'viewer') =>
      callAs(by, 'POST', `/organizations/${id}/invitations`, { email, role });
    const listOpen = async (by = owner) =>
      JSON.parse((await callAs(by, 'GET', `/organizations/${id}/invitations`)).text);
    const revoke = (by: TestUser, invitation: unknown) =>
      callAs(by, 'DELETE', `/organizations/${id}/invitations/${invitation}`);
    const roleOf = async ({ id: accountId }: TestUser) =>
      (await server.core.organizations.roleOf({ accountId }, id)) ?? 'none';
    return { id, owner, admin, member, invite, listOpen, revoke, roleOf };
  }
  const tokenTo = async (email: string) => tokenIn(await mailTo(server, email, /invited/));
  const accept = (by: TestUser, token: string) => callAs(by, 'POST', '/invitations/accept', { token });

  it('makes the recipient a member with the invited role, and can be used once', async () => {
    const { id, admin, invite, listOpen, roleOf } = await newOrganization();
    const guest = await newUser();
    const created = await invite(admin, guest.email.toUpperCase(), 'operator');
    expect([created.status, created.json]).toMatchObject([
      201,
      { organization_id: id, email: guest.email, role: 'operator', invited_by: { id: admin.id, email: admin.email } },
    ]);
    expect(await listOpen()).toEqual([created.json]);
    const token = await tokenTo(guest.email);
    expect(created.text).not.toContain(token);
    const joined = await accept(guest, token);
    expect([joined.status, joined.json]).toMatchObject([200, { id, name: 'Acme', role: 'operator' }]);
    expect(await roleOf(guest)).toBe('operator');
    expect(await listOpen()).toEqual([]);
    expect((await accept(guest, token)).json.error).toBe('not_found');
    expect((await invite(admin, guest.email)).json.error).toBe('conflict');
    const events = await server.core.audit.list({ organizationId: id, action: { startsWith: 'invitation.' } });
    expect(events.map(({ action, actorId }) => [action, actorId])).toEqual([
      ['invitation.accepted', guest.id],
      ['invitation.created', admin.id],
    ]);
    expect(JSON.stringify(await server.base.db.auditEvent.findMany())).not.toContain(token);
  });

  it('can be sent by admins and owners, for roles up to their own', async () => {
    const { owner, admin, member, invite, listOpen, revoke } = await newOrganization();
    const [operator, viewer] = [await member('operator'), await member('viewer')];
    for (const by of [operator, viewer]) {
      expect((await invite(by, 'a@example.com')).json.error).toBe('insufficient_role');
      expect((await callAs(by, 'GET', '/organizations/co_none/invitations')).json.error).toBe('not_found');
    }
    expect((await invite(admin, 'a@example.com', 'owner')).json.error).toBe('insufficient_role');
    const ownerInvitation = await invite(owner, 'a@example.com', 'owner');
    expect(ownerInvitation.status).toBe(201);
    // An admin can neither replace nor revoke an invitation to a higher role.
    expect((await invite(admin, 'a@example.com', 'viewer')).json.error).toBe('insufficient_role');
    expect((await revoke(admin, ownerInvitation.json.id)).json.error).toBe('insufficient_role');
    expect((await revoke(viewer, ownerInvitation.json.id)).json.error).toBe('insufficient_role');
    expect(await listOpen(admin)).toHaveLength(1);
    expect((await revoke(owner, ownerInvitation.json.id)).status).toBe(200);
    expect(await listOpen()).toEqual([]);
    for (const body of [{ email: 'nonsense', role: 'viewer' }, { email: 'a@example.com', role: 'king' }, {}]) {
      expect((await invite(owner, body.email as string, body.role)).json.error).toBe('invalid_request');
    }
  });

  it('is hidden from accounts outside the organization', async () => {
    const { id, owner, invite, revoke } = await newOrganization();
    const outsider = await newUser();
    const created = await invite(owner, 'b@example.com');
    for (const response of [
      await callAs(outsider, 'GET', `/organizations/${id}/invitations`),
      await invite(outsider, 'c@example.com'),
      await revoke(outsider, created.json.id),
    ]) {
      expect([response.status, response.json.error]).toEqual([404, 'not_found']);
    }
    const otherOrganization = await newOrganization();
    expect((await otherOrganization.revoke(otherOrganization.owner, created.json.id)).json.error).toBe('not_found');
  });

  it('can be accepted only by the account with the invited address, after it is verified', async () => {
    const { owner, invite, roleOf } = await newOrganization();
    const guest = await newUser({ verified: false });
    const attacker = await newUser();
    await invite(owner, guest.email);
    const token = await tokenTo(guest.email);
    for (const [user, reason] of [
      [attacker, 'for another'],
      [guest, 'Verify your'],
    ] as const) {
      const response = await accept(user, token);
      expect([response.status, response.json.error]).toEqual([403, 'insufficient_role']);
      expect(response.json.error_description).toContain(reason);
      expect(await roleOf(user)).toBe('none');
    }
    await verifyEmail(server, guest.email);
    expect((await accept(guest, token)).status).toBe(200); // the failed attempts did not consume it
  });

  it('expires after a week, and is replaced by a newer one', async () => {
    const { id, owner, invite, listOpen } = await newOrganization();
    const guest = await newUser();
    const first = await invite(owner, guest.email, 'viewer');
    const old = await tokenTo(guest.email);
    const second = await invite(owner, guest.email, 'admin');
    const token = await tokenTo(guest.email);
    expect(await listOpen()).toMatchObject([{ id: second.json.id, role: 'admin' }]);
    expect(first.json.id).not.toBe(second.json.id);
    expect((await accept(guest, old)).json.error).toBe('not_found');
    const account = (await server.core.accounts.find(guest.id))!;
    await later(7 * DAY_MS + 1000, async () => {
      await expect(server.core.invitations.accept(token, { account }, systemMeta)).rejects.toMatchObject({
        status: 404,
      });
      expect(await server.core.invitations.find(token)).toBeUndefined();
      expect((await server.core.invitations.list(owner.id, id, FIRST_PAGE)).items).toEqual([]);
      await server.core.cleanup.sweepAll();
      expect(await server.base.db.invitation.count({ where: { organizationId: id } })).toBe(0);
    });
    expect((await accept(guest, token)).json.error).toBe('not_found');
    for (const wrong of ['x', '']) expect((await accept(guest, wrong)).json.error).toBe('not_found');
  });

  it('is accepted once in 12 concurrent requests', async () => {
    const { id, owner, invite } = await newOrganization();
    const guest = await newUser();
    await invite(owner, guest.email);
    const token = await tokenTo(guest.email);
    const responses = await concurrently(12, () => accept(guest, token));
    expect(responses.map(({ status }) => status).sort()).toEqual([200, ...Array(11).fill(404)]);
    expect(await server.base.db.membership.count({ where: { accountId: guest.id, organizationId: id } })).toBe(1);
    expect(await server.core.audit.list({ accountId: guest.id, action: 'invitation.accepted' })).toHaveLength(1);
  });

  it('exists once per address, even after concurrent requests', async () => {
    const { owner, invite, listOpen } = await newOrganization();
    const responses = await concurrently(6, () => invite(owner, 'twin@example.com'));
    expect(responses.map(({ status }) => status)).toEqual(Array(6).fill(201));
    expect(await listOpen()).toHaveLength(1);
  });

  it('becomes invalid when the inviter is demoted, removed or suspended', async () => {
    const { id, owner, admin, invite, listOpen, roleOf } = await newOrganization();
    const guests = { viewer: await newUser(), admin: await newUser() };
    const changeRole = (role: string) => callAs(owner, 'PATCH', `/organizations/${id}/members/${admin.id}`, { role });
    const tokens: Record<string, string> = {};
    const inviteAll = async () => {
      for (const [role, guest] of Object.entries(guests)) {
        expect((await invite(admin, guest.email, role)).status).toBe(201);
        tokens[role] = await tokenTo(guest.email);
      }
    };
    const expectInvalid = async () => {
      for (const [role, guest] of Object.entries(guests)) {
        expect((await accept(guest, tokens[role]!)).json.error).toBe('not_found');
        expect(await roleOf(guest)).toBe('none');
      }
    };
    await inviteAll();
    await changeRole('viewer');
    await expectInvalid();
    await changeRole('admin'); // restoring the role does not restore the invitations
    await expectInvalid();
    expect(await listOpen()).toEqual([]);

    await inviteAll();
    await suspendAccount(server, admin.id);
    await expectInvalid();
    await changeAccount(server, admin.id, { status: 'active' });
    expect((await accept(guests.viewer, tokens.viewer!)).status).toBe(200);
    expect((await callAs(owner, 'DELETE', `/organizations/${id}/members/${admin.id}`)).status).toBe(200);
    expect((await accept(guests.admin, tokens.admin!)).json.error).toBe('not_found');
  });

  it('stays valid when the inviter is demoted to a role that could still send it', async () => {
    const { id, owner, admin, invite, listOpen } = await newOrganization();
    const changeRole = (member: TestUser, role: string) =>
      callAs(owner, 'PATCH', `/organizations/${id}/members/${member.id}`, { role });
    await changeRole(admin, 'owner');
    await invite(admin, 'low@example.com', 'operator');
    await invite(admin, 'high@example.com', 'owner');
    await changeRole(admin, 'admin');
    expect(await listOpen()).toMatchObject([{ email: 'low@example.com' }]);
  });

  it('is either accepted or invalid when the inviter is removed concurrently', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { id, owner, admin, invite, roleOf } = await newOrganization();
      const guest = await newUser();
      await invite(admin, guest.email);
      const token = await tokenTo(guest.email);
      const [joined, removed] = await Promise.all([
        accept(guest, token),
        callAs(owner, 'DELETE', `/organizations/${id}/members/${admin.id}`),
      ]);
      expect(removed.status).toBe(200);
      expect([joined.status, await roleOf(guest)]).toEqual(joined.status === 200 ? [200, 'viewer'] : [404, 'none']);
    }
  });

  it('requires an inviter with a verified address', async () => {
    const inviter = await newUser({ verified: false });
    const organizationId = await server.core.organizations.personalOrganizationId(inviter.id);
    const rejected = await callAs(inviter, 'POST', `/organizations/${organizationId}/invitations`, {
      email: 'd@example.com',
      role: 'viewer',
    });
    expect([rejected.status, rejected.json.error]).toEqual([403, 'insufficient_role']);
  });

  it('is limited per recipient, both for one inviter and for all inviters', async () => {
    const email = `victim-${store.name.replaceAll(/\W/g, '')}@example.com`.toLowerCase();
    const { owner, invite } = await newOrganization();
    const statuses: number[] = []; // of one inviter
    for (let n = 0; n < 12; n += 1) statuses.push((await invite(owner, email)).status);
    expect(statuses).toEqual([...Array(10).fill(201), 429, 429]);
    // The limit of an inviter spans organizations. Other inviters have their own.
    const { json } = await callAs(owner, 'POST', '/organizations', { name: 'Another' });
    const rejected = await callAs(owner, 'POST', `/organizations/${json.id}/invitations`, { email, role: 'viewer' });
    expect([rejected.status, rejected.json.error]).toEqual([429, 'rate_limited']);
    for (let n = 0; n < 2; n += 1) {
      const another = await newOrganization();
      for (let m = 0; m < 10; m += 1) expect((await another.invite(another.owner, email)).status).toBe(201);
    }
    const last = await newOrganization();
    expect((await last.invite(last.owner, email)).status).toBe(429);
    expect(await mailsTo(server, email)).toHaveLength(30);
  });

  it('is mailed without names chosen by the inviter, and stored with only the hash of its token', async () => {
    const { owner, invite } = await newOrganization('Win now: http://evil.example');
    await changeAccount(server, owner.id, { name: 'http://evil.example' });
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
