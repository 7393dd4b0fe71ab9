// Organizations: roles, visibility, and the last owner.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSignedInAccount } from '../../support/api.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';

describe.each(stores)('organizations on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  type Person = Awaited<ReturnType<typeof createSignedInAccount>>;
  const as = ({ access_token: token }: Person, method: string, path: string, body?: object) =>
    callApi(server, method, path, { token, body });

  /** An organization with a member of each role. */
  async function newOrganization() {
    const people = {
      owner: await createSignedInAccount(server),
      admin: await createSignedInAccount(server),
      operator: await createSignedInAccount(server),
      viewer: await createSignedInAccount(server),
    };
    const id = String((await as(people.owner, 'POST', '/organizations', { name: 'Acme' })).json.id);
    for (const role of ['admin', 'operator', 'viewer'] as const) {
      await server.base.db.membership.create({
        data: { accountId: people[role].accountId, organizationId: id, role },
      });
    }
    const change = (by: Person, member: Person, role: string) =>
      as(by, 'PATCH', `/organizations/${id}/members/${member.accountId}`, { role });
    const remove = (by: Person, member: Person) => as(by, 'DELETE', `/organizations/${id}/members/${member.accountId}`);
    const roles = async () => {
      const members = JSON.parse((await as(people.owner, 'GET', `/organizations/${id}/members`)).text);
      return Object.fromEntries(members.map((member: { id: string; role: string }) => [member.id, member.role]));
    };
    return { ...people, id, change, remove, roles };
  }

  it('lists the personal organization first, and hides organizations from other accounts', async () => {
    const { owner, viewer, id } = await newOrganization();
    const outsider = await createSignedInAccount(server);
    const list = JSON.parse((await as(viewer, 'GET', '/organizations')).text);
    expect(list).toMatchObject([{ role: 'owner' }, { id, name: 'Acme', role: 'viewer' }]);
    for (const [method, path, body] of [
      ['PATCH', `/organizations/${id}`, { name: 'Mine' }],
      ['GET', `/organizations/${id}/members`, undefined],
      ['PATCH', `/organizations/${id}/members/${owner.accountId}`, { role: 'viewer' }],
      ['DELETE', `/organizations/${id}/members/${owner.accountId}`, undefined],
      ['POST', '/projects', { name: 'P', organization_id: id }],
    ] as const) {
      const [answer, unknown] = [
        await as(outsider, method, path, body),
        await as(
          outsider,
          method,
          path.replace(id, 'co_none'),
          body && { ...body, ...(method === 'POST' && { organization_id: 'co_none' }) },
        ),
      ];
      expect([answer.status, answer.json.error]).toEqual([404, 'not_found']);
      expect(answer.json.error_description).toBe(unknown.json.error_description);
    }
  });

  it('lets admins and owners rename the organization and manage projects', async () => {
    const { owner, admin, operator, viewer, id } = await newOrganization();
    for (const person of [owner, admin]) {
      expect((await as(person, 'PATCH', `/organizations/${id}`, { name: 'Acme 2' })).json).toMatchObject({
        name: 'Acme 2',
      });
      const project = await as(person, 'POST', '/projects', { name: 'Apollo', organization_id: id });
      expect([project.status, project.json.organization_id]).toEqual([201, id]);
      expect((await as(viewer, 'GET', `/projects/${project.json.id}`)).json.name).toBe('Apollo');
      expect((await as(viewer, 'DELETE', `/projects/${project.json.id}`)).json.error).toBe('insufficient_role');
      expect((await as(person, 'PATCH', `/projects/${project.json.id}`, { name: 'Gemini' })).json.name).toBe('Gemini');
      expect((await as(person, 'DELETE', `/projects/${project.json.id}`)).status).toBe(200);
    }
    for (const person of [operator, viewer]) {
      expect((await as(person, 'PATCH', `/organizations/${id}`, { name: 'X' })).json.error).toBe('insufficient_role');
      expect((await as(person, 'POST', '/projects', { name: 'X', organization_id: id })).json.error).toBe(
        'insufficient_role',
      );
    }
    for (const name of ['', '  ', 'x'.repeat(101), `A${'\u202e'}B`, '\u200b']) {
      expect((await as(owner, 'POST', '/organizations', { name })).json.error).toBe('invalid_request');
    }
  });

  it('rejects changes to higher roles and to members with higher roles', async () => {
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
    const made = await as(viewer, 'POST', '/api-keys', { name: 'K', organization_id: id });
    const key = String(made.json.api_key);
    expect((await callApi(server, 'GET', '/auth/me', { token: key })).status).toBe(200);
    expect((await remove(viewer, viewer)).status).toBe(200);
    expect((await callApi(server, 'GET', '/auth/me', { token: key })).status).toBe(401);
    expect((await as(viewer, 'GET', `/organizations/${id}/members`)).status).toBe(404);
  });

  it('keeps one owner when two owners leave at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, change, remove, id } = await newOrganization();
      expect((await remove(owner, owner)).json.error).toBe('conflict');
      expect((await change(owner, owner, 'admin')).json.error).toBe('conflict');
      await change(owner, admin, 'owner');
      const answers = await Promise.all([remove(owner, owner), remove(admin, admin)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
      const owners = await server.base.db.membership.count({ where: { organizationId: id, role: 'owner' } });
      expect(owners).toBe(1);
    }
  });

  it('keeps an account the owner of its personal organization', async () => {
    const founder = await createSignedInAccount(server);
    const second = await createSignedInAccount(server);
    const [own] = JSON.parse((await as(founder, 'GET', '/organizations')).text) as { id: string }[];
    const membership = { accountId: second.accountId, organizationId: own!.id, role: 'owner' };
    await server.base.db.membership.create({ data: membership });
    const path = `/organizations/${own!.id}/members/${founder.accountId}`;
    const answers = await Promise.all(
      [founder, second].flatMap((person) => [
        as(person, 'DELETE', path),
        as(person, 'PATCH', path, { role: 'admin' }),
        as(person, 'PATCH', path, { role: 'viewer' }),
      ]),
    );
    for (const answer of answers) expect([answer.status, answer.json.error]).toEqual([409, 'conflict']);
    expect((await as(second, 'PATCH', path, { role: 'owner' })).status).toBe(200);
    expect((await as(founder, 'GET', '/auth/me')).json).toMatchObject({ companyId: own!.id, org_role: 'owner' });
    const other = `/organizations/${own!.id}/members/${second.accountId}`;
    expect((await as(founder, 'DELETE', other)).status).toBe(200);
  });

  it('lets one of two owners win when they demote each other at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, operator, change, roles } = await newOrganization();
      for (const person of [admin, operator]) await change(owner, person, 'owner');
      const answers = await Promise.all([change(admin, operator, 'viewer'), change(operator, admin, 'viewer')]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
      expect(Object.values(await roles()).sort()).toEqual(['owner', 'owner', 'viewer', 'viewer']);
    }
  });

  it('creates all organizations of concurrent requests', async () => {
    const person = await createSignedInAccount(server);
    const answers = await concurrently(12, (n) => as(person, 'POST', '/organizations', { name: `Acme ${n}` }));
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    expect(JSON.parse((await as(person, 'GET', '/organizations')).text)).toHaveLength(13);
  });
});
