// Organizations: who may what in them, whom nobody sees from outside, and the last owner, who
// stays.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, newLogin } from '../../support/api.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { atOnce } from '../../support/token-family.js';

describe.each(stores)('organizations on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  type Person = Awaited<ReturnType<typeof newLogin>>;
  const as = ({ access_token: token }: Person, method: string, path: string, body?: object) =>
    call(server, method, path, { token, body });

  /** An organization with somebody of each role. */
  async function place() {
    const people = {
      owner: await newLogin(server),
      admin: await newLogin(server),
      operator: await newLogin(server),
      viewer: await newLogin(server),
    };
    const id = String((await as(people.owner, 'POST', '/organizations', { name: 'Acme' })).json.id);
    for (const role of ['admin', 'operator', 'viewer'] as const) {
      await server.base.db.membership.create({
        data: { accountId: people[role].accountId, organizationId: id, role },
      });
    }
    const change = (by: Person, whom: Person, role: string) =>
      as(by, 'PATCH', `/organizations/${id}/members/${whom.accountId}`, { role });
    const remove = (by: Person, whom: Person) => as(by, 'DELETE', `/organizations/${id}/members/${whom.accountId}`);
    const roles = async () => {
      const members = JSON.parse((await as(people.owner, 'GET', `/organizations/${id}/members`)).text);
      return Object.fromEntries(members.map((member: { id: string; role: string }) => [member.id, member.role]));
    };
    return { ...people, id, change, remove, roles };
  }

  it('are listed with the own one first, and shown to nobody from outside', async () => {
    const { owner, viewer, id } = await place();
    const stranger = await newLogin(server);
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
        await as(stranger, method, path, body),
        await as(
          stranger,
          method,
          path.replace(id, 'co_none'),
          body && { ...body, ...(method === 'POST' && { organization_id: 'co_none' }) },
        ),
      ];
      expect([answer.status, answer.json.error]).toEqual([404, 'not_found']);
      expect(answer.json.error_description).toBe(unknown.json.error_description);
    }
  });

  it('are renamed by their admins, and their projects are made by them', async () => {
    const { owner, admin, operator, viewer, id } = await place();
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

  it('let nobody raise anybody above themselves, nor touch who stands above them', async () => {
    const { owner, admin, operator, viewer, change, remove, roles } = await place();
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

  it('take the keys of whoever leaves', async () => {
    const { viewer, remove, id } = await place();
    const made = await as(viewer, 'POST', '/api-keys', { name: 'K', organization_id: id });
    const key = String(made.json.api_key);
    expect((await call(server, 'GET', '/auth/me', { token: key })).status).toBe(200);
    expect((await remove(viewer, viewer)).status).toBe(200);
    expect((await call(server, 'GET', '/auth/me', { token: key })).status).toBe(401);
    expect((await as(viewer, 'GET', `/organizations/${id}/members`)).status).toBe(404);
  });

  it('keep an owner, though the two that there are leave at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, change, remove, id } = await place();
      expect((await remove(owner, owner)).json.error).toBe('conflict');
      expect((await change(owner, owner, 'admin')).json.error).toBe('conflict');
      await change(owner, admin, 'owner');
      const answers = await Promise.all([remove(owner, owner), remove(admin, admin)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
      const owners = await server.base.db.membership.count({ where: { organizationId: id, role: 'owner' } });
      expect(owners).toBe(1);
    }
  });

  it('are never lost by whom they were given to at their registration, whoever else owns them and however they try', async () => {
    const founder = await newLogin(server);
    const second = await newLogin(server);
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

  it('let nobody lower another who was lowered by them at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { owner, admin, operator, change, roles } = await place();
      for (const person of [admin, operator]) await change(owner, person, 'owner');
      const answers = await Promise.all([change(admin, operator, 'viewer'), change(operator, admin, 'viewer')]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
      expect(Object.values(await roles()).sort()).toEqual(['owner', 'owner', 'viewer', 'viewer']);
    }
  });

  it('are as many as one may own, though they are made all at once', async () => {
    const person = await newLogin(server);
    const answers = await atOnce(12, (n) => as(person, 'POST', '/organizations', { name: `Place ${n}` }));
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    expect(JSON.parse((await as(person, 'GET', '/organizations')).text)).toHaveLength(13);
  });
});
