// Organizations: roles, visibility, and the last owner.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addMember } from '../../support/accounts.js';
import { createSignedInAccount } from '../../support/api.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

describe.each(stores)('the organizations API on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  type TestUser = Awaited<ReturnType<typeof createSignedInAccount>>;
  const callAs = ({ access_token: token }: TestUser, method: string, path: string, body?: object) =>
    callApi(server, method, path, { token, body });

  /** An organization with a member of each role. */
  async function newOrganization() {
    const users = {
      owner: await createSignedInAccount(server),
      admin: await createSignedInAccount(server),
      operator: await createSignedInAccount(server),
      viewer: await createSignedInAccount(server),
    };
    const id = String((await callAs(users.owner, 'POST', '/organizations', { name: 'Acme' })).json.id);
    for (const role of ['admin', 'operator', 'viewer'] as const) {
      await addMember(server, id, users[role].accountId, role);
    }
    const change = (by: TestUser, member: TestUser, role: string) =>
      callAs(by, 'PATCH', `/organizations/${id}/members/${member.accountId}`, { role });
    const remove = (by: TestUser, member: TestUser) =>
      callAs(by, 'DELETE', `/organizations/${id}/members/${member.accountId}`);
    const roles = async () => {
      const members = JSON.parse((await callAs(users.owner, 'GET', `/organizations/${id}/members`)).text);
      return Object.fromEntries(members.map((member: { id: string; role: string }) => [member.id, member.role]));
    };
    return { ...users, id, change, remove, roles };
  }

  it('lists the personal organization first, and hides organizations from other accounts', async () => {
    const { owner, viewer, id } = await newOrganization();
    const outsider = await createSignedInAccount(server);
    const list = JSON.parse((await callAs(viewer, 'GET', '/organizations')).text);
    expect(list).toMatchObject([{ role: 'owner' }, { id, name: 'Acme', role: 'viewer' }]);
    for (const [method, path, body] of [
      ['PATCH', `/organizations/${id}`, { name: 'Mine' }],
      ['GET', `/organizations/${id}/members`, undefined],
      ['PATCH', `/organizations/${id}/members/${owner.accountId}`, { role: 'viewer' }],
      ['DELETE', `/organizations/${id}/members/${owner.accountId}`, undefined],
      ['POST', '/projects', { name: 'P', organization_id: id }],
    ] as const) {
      const [existing, unknown] = [
        await callAs(outsider, method, path, body),
        await callAs(
          outsider,
          method,
          path.replace(id, 'co_none'),
          body && { ...body, ...(method === 'POST' && { organization_id: 'co_none' }) },
        ),
      ];
      expect([existing.status, existing.json.error]).toEqual([404, 'not_found']);
      expect(existing.json.error_description).toBe(unknown.json.error_description);
    }
  });

  it('allows admins and owners to rename the organization and to manage projects', async () => {
    const { owner, admin, operator, viewer, id } = await newOrganization();
    for (const user of [owner, admin]) {
      expect((await callAs(user, 'PATCH', `/organizations/${id}`, { name: 'Acme 2' })).json).toMatchObject({
        name: 'Acme 2',
      });
      const project = await callAs(user, 'POST', '/projects', { name: 'Apollo', organization_id: id });
      expect([project.status, project.json.organization_id]).toEqual([201, id]);
      expect((await callAs(viewer, 'GET', `/projects/${project.json.id}`)).json.name).toBe('Apollo');
      expect((await callAs(viewer, 'DELETE', `/projects/${project.json.id}`)).json.error).toBe('insufficient_role');
      expect((await callAs(user, 'PATCH', `/projects/${project.json.id}`, { name: 'Gemini' })).json.name).toBe(
        'Gemini',
      );
      expect((await callAs(user, 'DELETE', `/projects/${project.json.id}`)).status).toBe(200);
    }
    for (const user of [operator, viewer]) {
      expect((await callAs(user, 'PATCH', `/organizations/${id}`, { name: 'X' })).json.error).toBe('insufficient_role');
      expect((await callAs(user, 'POST', '/projects', { name: 'X', organization_id: id })).json.error).toBe(
        'insufficient_role',
      );
    }
    for (const name of ['', '  ', 'x'.repeat(101), `A${'\u202e'}B`, '\u200b']) {
      expect((await callAs(owner, 'POST', '/organizations', { name })).json.error).toBe('invalid_request');
    }
  });

  it('rejects changes to a role above one’s own, and of members with a higher role', async () => {
    const { owner, admin, operator, viewer, change, remove, roles } = await newOrganization();
    const before = await roles();
    for (const attempt of [
      () => change(admin, viewer, 'owner'),
      () => change(admin, admin, 'owner'),
      () => change(admin, owner, 'viewer'),
      () => remove(admin, owner),
      () => change(operator, viewer, 'operator'),
      () => change(viewer, viewer, 'admin'),
      () => remove(operator, viewer),
    ]) {
      expect((await attempt()).json.error).toBe('insufficient_role');
    }
    expect(await roles()).toEqual(before);
    expect((await change(admin, viewer, 'admin')).status).toBe(200);
    expect((await change(owner, viewer, 'owner')).status).toBe(200);
    expect((await remove(admin, operator)).status).toBe(200);
    expect(await roles()).toEqual({
      [owner.accountId]: 'owner',
      [admin.accountId]: 'admin',
      [viewer.accountId]: 'owner',
    });
  });

  it('deletes the API keys of a member who leaves', async () => {
    const { viewer, remove, id } = await newOrganization();
    const created = await callAs(viewer, 'POST', '/api-keys', { name: 'K', organization_id: id });
    const key = String(created.json.api_key);
    expect((await callApi(server, 'GET', '/auth/me', { token: key })).status).toBe(200);
    expect((await remove(viewer, viewer)).status).toBe(200);
    expect((await callApi(server, 'GET', '/auth/me', { token: key })).status).toBe(401);
    expect((await callAs(viewer, 'GET', `/organizations/${id}/members`)).status).toBe(404);
  });

  it('keeps one owner when both owners leave concurrently', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, change, remove, id } = await newOrganization();
      expect((await remove(owner, owner)).json.error).toBe('conflict');
      expect((await change(owner, owner, 'admin')).json.error).toBe('conflict');
      await change(owner, admin, 'owner');
      const responses = await Promise.all([remove(owner, owner), remove(admin, admin)]);
      expect(responses.map(({ status }) => status).sort()).toEqual([200, 409]);
      const owners = await server.base.db.membership.count({ where: { organizationId: id, role: 'owner' } });
      expect(owners).toBe(1);
    }
  });

  it('never removes or demotes an account in its personal organization', async () => {
    const founder = await createSignedInAccount(server);
    const second = await createSignedInAccount(server);
    const id = await server.core.organizations.personalOrganizationId(founder.accountId);
    await addMember(server, id, second.accountId, 'owner');
    const path = `/organizations/${id}/members/${founder.accountId}`;
    const responses = await Promise.all(
      [founder, second].flatMap((user) => [
        callAs(user, 'DELETE', path),
        callAs(user, 'PATCH', path, { role: 'admin' }),
        callAs(user, 'PATCH', path, { role: 'viewer' }),
      ]),
    );
    for (const response of responses) expect([response.status, response.json.error]).toEqual([409, 'conflict']);
    expect((await callAs(second, 'PATCH', path, { role: 'owner' })).status).toBe(200);
    expect((await callAs(founder, 'GET', '/auth/me')).json).toMatchObject({ companyId: id, org_role: 'owner' });
    const secondPath = `/organizations/${id}/members/${second.accountId}`;
    expect((await callAs(founder, 'DELETE', secondPath)).status).toBe(200);
  });

  it('applies one of two changes when two owners demote each other concurrently', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, operator, change, roles } = await newOrganization();
      for (const user of [admin, operator]) await change(owner, user, 'owner');
      const responses = await Promise.all([change(admin, operator, 'viewer'), change(operator, admin, 'viewer')]);
      expect(responses.map(({ status }) => status).sort()).toEqual([200, 403]);
      expect(Object.values(await roles()).sort()).toEqual(['owner', 'owner', 'viewer', 'viewer']);
    }
  });

  it('creates an organization for each of 12 concurrent requests', async () => {
    const user = await createSignedInAccount(server);
    await server.base.db.account.update({ where: { id: user.accountId }, data: { emailVerified: true } });
    const responses = await concurrently(12, (n) => callAs(user, 'POST', '/organizations', { name: `Acme ${n}` }));
    expect(responses.every(({ status }) => status === 201)).toBe(true);
    expect(JSON.parse((await callAs(user, 'GET', '/organizations')).text)).toHaveLength(13);
  });
});
