// Agents: onboarding without a user, limited capabilities, claims, key rotation, deletion.

import { decodeJwt, decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember, changeAccount, suspendAccount } from '../../support/accounts.js';
import { AGENT, getAgent, onboard, tryToOnboard } from '../../support/agents.js';
import { createSignedInAccount } from '../../support/api.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently } from '../../support/token-family.js';
import { validateToken } from '../../support/tools-api.js';

const DAY_MS = 86_400_000;

describe.each(stores)('an agent on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  const { clock, later } = movableClock();
  const settings = { TRUSTED_PROXIES: '127.0.0.1' };
  beforeAll(async () => {
    server = await startServer({ store, clock, settings });
    secondServer = await startServer({ sharedWith: server, clock, settings });
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  let addresses = 0;
  /** Onboards an unclaimed agent from an IP address of its own. */
  async function onboardUnclaimed(body: object = {}) {
    addresses += 1;
    const headers = { 'x-forwarded-for': `10.1.${addresses >> 8}.${addresses & 255}` };
    const response = await tryToOnboard(server, body, { headers });
    if (response.status !== 201) throw new Error(response.text);
    return response.json as unknown as Awaited<ReturnType<typeof onboard>>;
  }

  const statusOf = async (agent: { agent_id: string }, credential: string, at: TestServer = server) =>
    (await getAgent(at, agent, credential)).status;
  const personalOrganizationOf = (accountId: string) => server.core.organizations.personalOrganizationId(accountId);
  const countMembers = (organizationId: string) => server.base.db.membership.count({ where: { organizationId } });

  it('onboards itself into an organization of its own', async () => {
    const agent = await onboardUnclaimed();
    expect(agent).toEqual({
      ...AGENT,
      token: expect.any(String),
      api_key: expect.stringMatching(/^ocs_live_[0-9A-Za-z]{38}$/),
      company_id: expect.stringMatching(/^co_/),
      client_id: expect.stringMatching(/^agt_/),
      claimed: false,
      owner_id: null,
      claim_url: expect.stringMatching(/^http.*\/account\/agents\/claim\?token=[\w-]{43}$/),
      provisioned_at: expect.any(String),
      expires_at: expect.any(String),
    });
    expect(await countMembers(agent.company_id)).toBe(0);
    expect(await server.base.db.agent.count({ where: { organizationId: agent.company_id } })).toBe(1);
    expect((await onboardUnclaimed()).company_id).not.toBe(agent.company_id);
    for (const credential of [agent.api_key, agent.token]) {
      const response = await getAgent(server, agent, credential);
      expect(response.json).toMatchObject({ ...AGENT, client_id: agent.client_id, claimed: false });
      expect(response.text).not.toContain(agent.api_key);
    }
    const rows = JSON.stringify(await server.base.db.agent.findMany());
    const auditLog = JSON.stringify(await server.core.audit.list({ clientId: agent.client_id }));
    for (const secret of [agent.api_key, agent.api_key.slice(20), agent.token, agent.claim_url!.slice(-43)]) {
      expect(rows + auditLog + server.lines.join('')).not.toContain(secret);
    }
    expect(auditLog).toContain('agent.onboarded');
  });

  it('receives a token for a week that contains the organization and the claim state', async () => {
    const agent = await onboardUnclaimed();
    const claims = decodeJwt(agent.token);
    expect(decodeProtectedHeader(agent.token)).toMatchObject({ typ: 'at+jwt', alg: 'ES256' });
    expect(claims).toMatchObject({
      iss: server.issuer,
      aud: `${server.issuer}/api/v1`,
      sub: agent.client_id,
      client_id: agent.client_id,
      scope: [...AGENT.capabilities, 'tools:validate'].join(' '),
      company_id: agent.company_id,
      claimed: false,
    });
    expect(claims.exp! - claims.iat!).toBeGreaterThan(7 * 86_400 - 5);
    expect(claims.exp! - claims.iat!).toBeLessThanOrEqual(7 * 86_400);
    const { access_token: token } = await createSignedInAccount(server);
    expect(decodeJwt((await onboard(server, {}, token)).token)).toMatchObject({ claimed: true });
  });

  it('expires with key and token after a week unless it is claimed', async () => {
    const agent = await onboardUnclaimed();
    const { access_token: token } = await createSignedInAccount(server);
    const owned = await onboard(server, {}, token);
    await later(7 * DAY_MS + 1000, async () => {
      for (const at of [server, secondServer])
        for (const credential of [agent.api_key, agent.token])
          expect((await getAgent(at, agent, credential)).json.error).toBe('expired_token');
      expect((await getAgent(server, owned, owned.token)).json.error).toBe('expired_token');
      expect(await statusOf(owned, owned.api_key)).toBe(200);
      await server.core.cleanup.sweepAll();
      await secondServer.core.cleanup.sweepAll(); // a second process deletes and audits nothing again
      const events = await server.core.audit.list({ clientId: agent.client_id, action: 'agent.expired' });
      expect(events).toMatchObject([{ actorKind: 'system', organizationId: agent.company_id }]);
      expect(events[0]!.detail).toEqual({ agent_id: agent.agent_id });
      expect(await server.base.db.organization.count({ where: { id: agent.company_id } })).toBe(0);
      expect(await server.base.db.agent.count({ where: { id: agent.client_id } })).toBe(0);
    });
    expect(await server.base.db.agent.count({ where: { id: owned.client_id } })).toBe(1);
  });

  it('joins the organization of the admin who creates it', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    const agent = await onboard(server, { capabilities: ['read:cap-table', 'admin'] }, token);
    expect(agent).toMatchObject({
      company_id: await personalOrganizationOf(accountId),
      capabilities: ['read:cap-table', 'admin'],
    });
    expect(agent).not.toHaveProperty('claim_url');
    expect(agent).toMatchObject({ claimed: true, expires_at: null });
    const { access_token: memberToken, accountId: memberId } = await createSignedInAccount(server);
    const organizationId = await personalOrganizationOf(accountId);
    for (const [role, status] of [
      [undefined, 404],
      ['operator', 403],
      ['admin', 201],
    ] as const) {
      if (role) await addMember(server, organizationId, memberId, role);
      const body = { agent_id: `of-${role}`, organization_id: organizationId };
      expect((await tryToOnboard(server, body, { token: memberToken })).status, role).toBe(status);
    }
  });

  it('has an id that is unique in its organization, even after concurrent requests', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const responses = await concurrently(20, (n) => tryToOnboard(n % 2 ? server : secondServer, {}, { token }));
    expect(responses.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
    expect(responses.find(({ status }) => status === 409)!.json).toMatchObject({
      error: 'conflict',
      fields: { agent_id: expect.any(String) },
    });
    const { access_token: other } = await createSignedInAccount(server);
    expect((await tryToOnboard(server, {}, { token: other })).status).toBe(201);
  });

  it('is rejected with invalid input, or with a capability that only admins can grant', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    for (const [field, body] of [
      ['capabilities', { capabilities: ['read:everything'] }],
      ['capabilities', { capabilities: [] }],
      ['capabilities', { capabilities: 'read:cap-table' }],
      ['agent_id', { agent_id: '../x' }],
      ['agent_id', { agent_id: '' }],
      ['agent_id', { agent_id: 'agt_of-another' }],
      ['agent_name', { agent_name: ' ' }],
    ] as const) {
      const { status, json } = await tryToOnboard(server, body, { token });
      expect([status, json.error, Object.keys(json.fields as object)]).toEqual([400, 'invalid_request', [field]]);
    }
    const { status, json } = await tryToOnboard(server, { capabilities: ['admin'] });
    expect([status, json.error]).toEqual([403, 'insufficient_role']);
  });

  it('can have capabilities that an administrator adds to the catalog', async () => {
    const names = async () =>
      JSON.parse((await callApi(server, 'GET', '/capabilities')).text).map(({ name }: { name: string }) => name);
    expect(await names()).toEqual([
      'read:cap-table',
      'write:stakeholders',
      'write:equity',
      'read:financials',
      'write:documents',
      'read:analytics',
      'write:safe-notes',
      'admin',
    ]);
    const { access_token: token, accountId: id } = await createSignedInAccount(server);
    await changeAccount(server, id, { role: 'admin' });
    const scopes = [
      { name: 'read:board', description: 'Read the minutes of the board.', capability: true },
      { name: 'write:board', description: 'Write the minutes of the board.' },
    ];
    const body = { identifier: 'https://board.example', name: 'Board', scopes };
    expect((await callApi(server, 'POST', '/resources', { token, body })).status).toBe(201);
    expect(await names()).not.toContain('write:board');
    expect(await names()).toContain('read:board');
    expect((await onboardUnclaimed({ capabilities: ['read:board'] })).capabilities).toEqual(['read:board']);
  });

  it('is rejected by every process after deletion by itself or by an admin', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    for (const by of ['itself', 'administrator']) {
      const agent = await onboard(server, {}, token);
      for (const at of [server, secondServer])
        for (const credential of [agent.api_key, agent.token]) expect(await statusOf(agent, credential, at)).toBe(200);
      const byToken = await callApi(server, 'DELETE', `/agents/${agent.agent_id}`, { token: agent.token });
      expect([byToken.status, byToken.json.error]).toEqual([403, 'insufficient_scope']); // deletion requires the key
      const credential = by === 'itself' ? agent.api_key : token;
      expect((await callApi(server, 'DELETE', `/agents/${agent.agent_id}`, { token: credential })).status).toBe(200);
      for (const deleted of [agent.api_key, agent.token]) {
        expect(await statusOf(agent, deleted)).toBe(401);
        await expect.poll(() => statusOf(agent, deleted, secondServer), { timeout: 1000, interval: 50 }).toBe(401);
      }
      expect((await callApi(server, 'GET', `/agents/${agent.agent_id}`, { token })).status).toBe(404);
    }
  });

  it('is claimed by one of several concurrent users, who becomes the owner', async () => {
    const agent = await onboardUnclaimed();
    const token = agent.claim_url!.slice(-43);
    const users = await Promise.all(Array.from({ length: 6 }, () => createSignedInAccount(server)));
    const claims = await Promise.all(
      users.map(({ access_token: by }, n) =>
        callApi(n % 2 ? server : secondServer, 'POST', '/agents/claim', { token: by, body: { token } }),
      ),
    );
    expect(claims.map(({ status }) => status).sort()).toEqual([200, ...Array(5).fill(404)]);
    const winner = users[claims.findIndex(({ status }) => status === 200)]!;
    expect(await server.base.db.membership.findMany({ where: { organizationId: agent.company_id } })).toMatchObject([
      { accountId: winner.accountId, role: 'owner' },
    ]);
    await expect
      .poll(async () => (await getAgent(secondServer, agent, agent.api_key)).json.claimed, {
        timeout: 1000,
        interval: 50,
      })
      .toBe(true);
    const again = await callApi(server, 'POST', '/agents/claim', { token: winner.access_token, body: { token } });
    expect(again.status).toBe(404);
    await later(8 * DAY_MS, async () => {
      expect(await statusOf(agent, agent.api_key)).toBe(200);
      await server.core.cleanup.sweepAll();
    });
    const response = await callApi(server, 'GET', `/agents/${agent.agent_id}`, { token: winner.access_token });
    expect(response.json).toMatchObject({ claimed: true, expires_at: null, company_id: agent.company_id });
    const late = await onboardUnclaimed();
    await later(7 * DAY_MS + 1000, async () => {
      const tooLate = {
        account: (await server.core.accounts.find(winner.accountId))!,
        token: late.claim_url!.slice(-43),
      };
      await expect(
        server.core.ownershipClaims.claim(tooLate.token, { account: tooLate.account }, systemMeta),
      ).rejects.toThrow('expired');
    });
  });

  it('loses its old key and the tokens of that key when the key is rotated', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    let agent = await onboard(server, {}, token);
    expect(await statusOf(agent, agent.api_key, secondServer)).toBe(200);
    for (const rotatedBy of ['the agent', 'its owner']) {
      const credential = rotatedBy === 'the agent' ? agent.api_key : token;
      const response = await callApi(server, 'POST', `/agents/${agent.agent_id}/rotate-key`, { token: credential });
      expect(response.status, response.text).toBe(201);
      const rotated = response.json as unknown as typeof agent;
      expect(rotated).toMatchObject({ client_id: agent.client_id, company_id: agent.company_id });
      for (const previous of [agent.api_key, agent.token]) {
        expect(await statusOf(agent, previous)).toBe(401);
        await expect.poll(() => statusOf(agent, previous, secondServer), { timeout: 1000, interval: 50 }).toBe(401);
      }
      for (const active of [rotated.api_key, rotated.token])
        expect(await statusOf(agent, active, secondServer)).toBe(200);
      agent = rotated;
    }
  });

  it('has one active key after concurrent rotations', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const agent = await onboard(server, {}, token);
    const responses = await concurrently(10, (n) =>
      callApi(n % 2 ? server : secondServer, 'POST', `/agents/${agent.agent_id}/rotate-key`, { token }),
    );
    const fresh = responses.filter(({ status }) => status === 201).map(({ json }) => json as unknown as typeof agent);
    expect(fresh.length).toBeGreaterThanOrEqual(1);
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([201, ...(fresh.length < 10 ? [409] : [])]));
    const statuses = await Promise.all(fresh.map(({ api_key: key }) => statusOf(agent, key)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(await statusOf(agent, agent.api_key)).toBe(401);
  });

  it('can read and delete only itself, and cannot create keys or gain permissions', async () => {
    const [mine, theirs] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const agent = await onboard(server, { capabilities: ['admin'] }, mine.access_token);
    const sibling = await onboard(server, { agent_id: 'sibling' }, mine.access_token);
    const unrelated = await onboard(server, { agent_id: 'unrelated' }, theirs.access_token);
    const requests: [method: string, path: string, body?: object][] = [
      ...[sibling, unrelated].flatMap(({ client_id: id, agent_id: name }): [string, string][] => [
        ['GET', `/agents/${id}`],
        ['GET', `/agents/${name}`],
        ['DELETE', `/agents/${id}`],
        ['POST', `/agents/${id}/rotate-key`],
      ]),
      ['GET', '/agents'],
      ['GET', `/agents?organization_id=${unrelated.company_id}`],
      ['POST', '/agents/onboard', { ...AGENT, agent_id: 'child', capabilities: ['admin'] }],
      ['POST', '/api-keys', { name: 'K' }],
      ['GET', '/api-keys'],
      ['GET', '/organizations'],
      ['GET', `/organizations/${agent.company_id}/members`],
      ['POST', '/projects', { name: 'P' }],
      ['GET', '/auth/me'],
      ['POST', '/auth/change-password', { current_password: 'x', new_password: 'y' }],
      ['GET', '/auth/sessions'],
    ];
    const before = await server.base.db.agent.findMany({ orderBy: { id: 'asc' } });
    for (const [method, path, body] of requests) {
      for (const credential of [agent.api_key, agent.token]) {
        const response = await callApi(server, method, path, { token: credential, ...(body && { body }) });
        expect([403, 404], `${method} ${path}: ${response.text}`).toContain(response.status);
      }
    }
    const byToken = await callApi(server, 'POST', `/agents/${agent.agent_id}/rotate-key`, { token: agent.token });
    expect([byToken.status, byToken.json.error]).toEqual([403, 'insufficient_scope']); // a token cannot rotate the key
    expect(await server.base.db.agent.findMany({ orderBy: { id: 'asc' } })).toEqual(before);
    for (const path of [`/agents/${agent.client_id}`, `/agents/${agent.agent_id}`]) {
      for (const method of ['GET', 'DELETE'])
        expect((await callApi(server, method, path, { token: theirs.access_token })).status).toBe(404);
    }
  });

  it('is readable for members and their API keys, and manageable for admins', async () => {
    const owner = await createSignedInAccount(server);
    const agent = await onboard(server, {}, owner.access_token);
    const { access_token: token, accountId } = await createSignedInAccount(server);
    await addMember(server, agent.company_id, accountId, 'operator');
    expect((await callApi(server, 'GET', `/agents/${agent.agent_id}`, { token })).status).toBe(200);
    expect(JSON.parse((await callApi(server, 'GET', '/agents', { token })).text)).toHaveLength(1);
    for (const [method, path] of [
      ['DELETE', ''],
      ['POST', '/rotate-key'],
    ] as const) {
      const response = await callApi(server, method, `/agents/${agent.agent_id}${path}`, { token });
      expect([response.status, response.json.error]).toEqual([403, 'insufficient_role']);
    }
    const namesake = await onboard(server, {}, token); // now agents of two organizations have this id
    expect((await callApi(server, 'GET', `/agents/${agent.agent_id}`, { token })).status).toBe(400);
    for (const { company_id: id, client_id: clientId } of [namesake, agent]) {
      const response = await callApi(server, 'GET', `/agents/${agent.agent_id}?organization_id=${id}`, { token });
      expect(response.json.client_id).toBe(clientId);
    }
    const key = await server.core.apiKeys.create(
      { account: (await server.core.accounts.find(owner.accountId))! },
      { name: 'K', format: 'sk_live', lifeSeconds: null },
      systemMeta,
    );
    expect((await callApi(server, 'GET', '/agents', { token: key.key })).status).toBe(200);
    expect((await callApi(server, 'DELETE', `/agents/${agent.agent_id}`, { token: key.key })).status).toBe(403);
    expect((await tryToOnboard(server, { agent_id: 'x' }, { token: key.key })).status).toBe(403);
  });

  it('is validated for tools as its owner, another manager, or itself', async () => {
    const [creator, other] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const organizationId = await personalOrganizationOf(creator.accountId);
    await addMember(server, organizationId, other.accountId, 'admin');
    const agent = await onboard(server, { agent_id: 'validated' }, creator.access_token);
    const validatedUser = async (key: string) => (await validateToken(server, key)).json.user;
    expect(await validatedUser(agent.api_key)).toMatchObject({ id: creator.accountId, role: 'viewer' });

    await suspendAccount(server, creator.accountId);
    const itself = { id: agent.client_id, name: agent.agent_name, email: null, role: 'viewer' };
    expect(await validatedUser(agent.api_key)).toEqual(itself);

    const path = `/agents/${agent.agent_id}/rotate-key?organization_id=${organizationId}`;
    const { json } = await callApi(server, 'POST', path, { token: other.access_token, body: {} });
    expect(await validatedUser(String(json.api_key))).toMatchObject({ id: other.accountId, role: 'viewer' });
  });

  it('has no owner after its owner is removed, keeps its key, and gets an owner when an admin rotates the key', async () => {
    const [admin, owner] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const organizationId = await personalOrganizationOf(admin.accountId);
    await addMember(server, organizationId, owner.accountId, 'admin');
    const ids = ['first', 'second'];
    const [agent] = await Promise.all(
      ids.map((id) =>
        onboard(server, { agent_id: id, capabilities: ['admin'], organization_id: organizationId }, owner.access_token),
      ),
    );
    await onboard(server, { agent_id: 'other', organization_id: organizationId }, admin.access_token);
    await onboard(server, { agent_id: 'own' }, owner.access_token); // in the owner's own organization
    const ownerIds = async () => {
      const { text } = await callApi(server, 'GET', '/agents', { token: admin.access_token });
      const agents = JSON.parse(text) as { agent_id: string; owner_id: string | null; claimed: boolean }[];
      expect(agents.every(({ claimed }) => claimed)).toBe(true);
      return Object.fromEntries(agents.map(({ agent_id: id, owner_id: ownerId }) => [id, ownerId]));
    };
    const other = { other: admin.accountId };
    expect(await ownerIds()).toEqual({ first: owner.accountId, second: owner.accountId, ...other });

    const member = `/organizations/${organizationId}/members/${owner.accountId}`;
    const removed = await callApi(server, 'DELETE', member, { token: admin.access_token });
    expect([removed.status, removed.json.agents_without_owner]).toEqual([200, 2]);
    const [event] = await server.core.audit.list({ accountId: admin.accountId, action: 'member.removed' });
    expect(event!.detail).toEqual({ member: owner.accountId, agents_without_owner: 2 });
    expect(await ownerIds()).toEqual({ first: null, second: null, ...other });
    expect(await statusOf(agent!, agent!.api_key)).toBe(200);

    const path = '/agents/first/rotate-key';
    expect((await callApi(server, 'POST', path, { token: admin.access_token })).json.owner_id).toBe(admin.accountId);
    expect(await ownerIds()).toEqual({ first: admin.accountId, second: null, ...other });
    expect(await statusOf(agent!, agent!.api_key)).toBe(401);
  });

  it('is inactive while every manager of its organization is suspended', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    const agent = await onboard(server, {}, token);
    const { id: colleague } = await server.account();
    await suspendAccount(server, accountId);
    for (const credential of [agent.api_key, agent.token]) expect(await statusOf(agent, credential)).toBe(401);
    await addMember(server, agent.company_id, colleague, 'admin');
    for (const credential of [agent.api_key, agent.token]) expect(await statusOf(agent, credential)).toBe(200);
  });

  it('is rate limited per IP address at onboarding', async () => {
    const headers = { 'x-forwarded-for': '10.9.9.9' };
    const statuses = [];
    for (let n = 0; n < 12; n += 1) statuses.push((await tryToOnboard(server, {}, { headers })).status);
    expect(statuses).toEqual([...Array(10).fill(201), 429, 429]);
  });
});

describe('the onboarding of agents', () => {
  const TOKEN = 'an-onboarding-token-of-32-characters';

  it('requires the configured token, which creates unclaimed agents', async () => {
    const server = await startServer({ settings: { AGENT_ONBOARDING: 'token', AGENT_ONBOARDING_TOKEN: TOKEN } });
    try {
      expect((await tryToOnboard(server)).json.error).toBe('no_auth');
      expect((await tryToOnboard(server, {}, { token: `${TOKEN}x` })).json.error).toBe('invalid_token');
      expect((await tryToOnboard(server, {}, { token: TOKEN })).json).toMatchObject({ claimed: false });
      expect((await tryToOnboard(server, { capabilities: ['admin'] }, { token: TOKEN })).status).toBe(403);
      const { access_token: token } = await createSignedInAccount(server);
      expect((await tryToOnboard(server, {}, { token })).json).toMatchObject({ claimed: true });
      expect((await callApi(server, 'GET', '/agents', { token: TOKEN })).status).toBe(401);
    } finally {
      await server.close();
    }
  });

  it('is limited to admins of organizations when it is closed', async () => {
    const server = await startServer({ settings: { AGENT_ONBOARDING: 'closed', AGENT_ONBOARDING_TOKEN: TOKEN } });
    try {
      expect((await tryToOnboard(server)).json.error).toBe('no_auth');
      expect((await tryToOnboard(server, {}, { token: TOKEN })).json.error).toBe('invalid_token');
      const { access_token: token } = await createSignedInAccount(server);
      expect((await tryToOnboard(server, {}, { token })).status).toBe(201);
    } finally {
      await server.close();
    }
  });
});
