// Approval requests of agents: allowed users, one open request, one decision, and revocation.

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { addMember, changeAccount, suspendAccount } from '../../support/accounts.js';
import { onboard } from '../../support/agents.js';
import { logIn } from '../../support/api.js';
import {
  addCapTable,
  type ClaimedAgent,
  createClaimedAgent,
  poll,
  requestApproval,
} from '../../support/approval-requests.js';
import { mailTo, tokenIn } from '../../support/mailbox.js';
import { requestToken } from '../../support/relying-party.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently, introspect } from '../../support/token-family.js';

describe.each(stores)('an approval request on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
    await addCapTable(server);
  });
  afterAll(() => server.close());

  const listOpenRequests = async (bearer: string) =>
    JSON.parse((await callApi(server, 'GET', '/approvals', { token: bearer })).text) as { id: string }[];
  const decide = (bearer: string, id: string, decision: string) =>
    callApi(server, 'POST', `/approvals/${id}`, { token: bearer, body: { decision } });
  const isActive = async ({ client_id: id, api_key: secret }: ClaimedAgent, accessToken: string | undefined) =>
    (await introspect(server, { id, secret }, String(accessToken))).body.active === true;
  const countGrants = ({ client_id: clientId }: ClaimedAgent) => server.base.db.grant.count({ where: { clientId } });

  /** Sends a request that the agent's owner must approve. */
  async function requestOwnerApproval(agent: ClaimedAgent) {
    const request = await requestApproval(server, agent, agent.ownerEmail);
    if (request.status !== 200) throw new Error(`not requested: ${JSON.stringify(request.body)}`);
    const [open] = await listOpenRequests(agent.bearer);
    return { ...request, id: open!.id };
  }

  it('is open only once per agent and user, even with 8 concurrent requests', async () => {
    const agent = await createClaimedAgent(server);
    const requests = await concurrently(8, () => requestApproval(server, agent, agent.ownerEmail));
    expect(requests.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(403)]);
    for (const { status, body } of requests) if (status === 403) expect(body.error).toBe('access_denied');
    const [first, ...others] = await listOpenRequests(agent.bearer);
    expect(others).toEqual([]);
    await decide(agent.bearer, first!.id, 'deny');
    expect((await requestApproval(server, agent, agent.ownerEmail)).status).toBe(200);
    expect(await server.core.audit.list({ clientId: agent.client_id, action: 'approval.requested' })).toHaveLength(2);
  });

  it('is decided once, even with concurrent approvals and denials', async () => {
    for (let round = 0; round < 3; round += 1) {
      const agent = await createClaimedAgent(server);
      const request = await requestOwnerApproval(agent);
      const responses = await concurrently(6, (n) => decide(agent.bearer, request.id, n % 2 ? 'approve' : 'deny'));
      expect(responses.map(({ status }) => status).sort()).toEqual([200, ...Array(5).fill(409)]);
      const isApproved = responses.findIndex(({ status }) => status === 200) % 2 === 1;
      const { status, body } = await poll(server, agent, request);
      expect([status, body.error]).toEqual(isApproved ? [200, undefined] : [400, 'access_denied']);
      expect(await countGrants(agent)).toBe(isApproved ? 1 : 0);
      const events = await server.core.audit.list({ accountId: agent.ownerId, action: { startsWith: 'approval.' } });
      const decision = isApproved ? 'approval.approved' : 'approval.denied';
      expect(events.map(({ action }) => action)).toEqual([decision, 'approval.requested']);
    }
  });

  it('yields one active token, even with 10 concurrent polls', async () => {
    const agent = await createClaimedAgent(server);
    const request = await requestOwnerApproval(agent);
    await decide(agent.bearer, request.id, 'approve');
    const responses = await concurrently(10, () => poll(server, agent, request));
    const issued = responses.filter(({ status }) => status === 200);
    expect(issued).toHaveLength(1);
    for (const { status, body } of responses) if (status !== 200) expect(body.error).toBe('invalid_grant');
    expect((await poll(server, agent, request)).body.error).toBe('invalid_grant');
    expect(await isActive(agent, issued[0]!.body.access_token)).toBe(true);
  });

  it('can be addressed only to the owner and to users who have consented to the agent', async () => {
    const [agent, otherAgent] = [await createClaimedAgent(server), await createClaimedAgent(server)];
    const [outsider, consenter] = [await server.account(), await server.account()];
    const consent = { scopes: ['openid'], claims: [], resources: {} };
    for (const { client_id: id } of [agent, otherAgent]) {
      await server.core.consents.grant({ account: consenter }, id, consent, systemMeta);
    }
    const responses: string[] = [];
    const malformed = ['\0', `${agent.ownerEmail}\0`, `${agent.ownerId}\0`];
    for (const hint of [outsider.email, outsider.id, 'unknown@example.com', 'unknown', agent.client_id, ...malformed]) {
      const { status, body } = await requestApproval(server, agent, hint);
      responses.push(JSON.stringify([status, body]));
    }
    expect(responses).toEqual(responses.map(() => responses[0]));
    expect(responses[0]).toContain('unknown_user_id');
    expect(server.lines.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
    for (const hint of [consenter.email.toUpperCase(), agent.ownerId]) {
      expect((await requestApproval(server, agent, hint)).status).toBe(200);
    }
    await suspendAccount(server, consenter.id);
    expect((await requestApproval(server, otherAgent, consenter.email)).body.error).toBe('unknown_user_id');
    // An owner who left the organization can no longer be asked.
    const organizationId = otherAgent.company_id;
    await addMember(server, organizationId, outsider.id, 'owner');
    await server.base.db.membership.deleteMany({ where: { accountId: otherAgent.ownerId } });
    expect((await requestApproval(server, otherAgent, otherAgent.ownerEmail)).body.error).toBe('unknown_user_id');
  });

  it('is rejected from an unclaimed agent', async () => {
    const unclaimed = await onboard(server, { agent_id: 'unclaimed', capabilities: ['write:equity'] });
    const { status, body } = await requestApproval(server, unclaimed, (await server.account()).email);
    expect([status, body.error]).toEqual([400, 'unauthorized_client']);
  });

  it('cannot be decided by another user or polled by another agent', async () => {
    const [agent, other] = [await createClaimedAgent(server), await createClaimedAgent(server)];
    const request = await requestOwnerApproval(agent);
    expect(await listOpenRequests(other.bearer)).toEqual([]);
    const response = await decide(other.bearer, request.id, 'approve');
    expect([response.status, response.json.error]).toEqual([404, 'not_found']);
    expect((await poll(server, other, request)).body.error).toBe('invalid_grant');
    expect((await poll(server, agent, request)).body.error).toBe('authorization_pending');
  });

  it('is rate limited per hour', async () => {
    const agent = await createClaimedAgent(server);
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) {
      const { status, headers } = await requestApproval(server, agent, agent.ownerEmail);
      statuses.push(status);
      if (status === 429) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      for (const { id } of await listOpenRequests(agent.bearer)) await decide(agent.bearer, id, 'deny');
    }
    expect(statuses).toEqual([...Array(10).fill(200), 429]);
  });

  it('is deleted with the agent', async () => {
    const agent = await createClaimedAgent(server);
    const open = await requestOwnerApproval(agent);
    await callApi(server, 'DELETE', `/agents/${agent.agent_id}`, { token: agent.bearer });
    expect(await listOpenRequests(agent.bearer)).toEqual([]);
    expect((await decide(agent.bearer, open.id, 'approve')).status).toBe(404);
    expect((await poll(server, agent, open)).body.error).toBe('invalid_client');
  });

  /** Creates an agent with the token of an approved request, and a second request that is open. */
  async function createApprovedAgent() {
    const agent = await createClaimedAgent(server);
    const request = await requestOwnerApproval(agent);
    await decide(agent.bearer, request.id, 'approve');
    const { access_token: accessToken } = (await poll(server, agent, request)).body;
    expect(await isActive(agent, accessToken)).toBe(true);
    return { agent, accessToken, open: await requestOwnerApproval(agent) };
  }

  it('yields a token that cannot be exchanged and whose audience cannot be an agent', async () => {
    const [agent, other] = [await createClaimedAgent(server), await createClaimedAgent(server)];
    const audienceOf = ({ client_id: id }: ClaimedAgent) => `${server.issuer}/agents/${id}`;
    for (const audience of [agent, other]) {
      const { status, body } = await requestApproval(server, agent, agent.ownerEmail, {
        resource: audienceOf(audience),
      });
      expect([status, body.error]).toEqual([400, 'invalid_target']);
    }
    // Even if the grant names agents, the token of an approval cannot be exchanged.
    for (const actor of [agent, other]) {
      const request = await requestOwnerApproval(agent);
      const where = { id: request.id };
      const { grantPayload } = await server.base.db.approval.findUniqueOrThrow({ where });
      const payload = grantPayload as { resources: Record<string, string> };
      payload.resources[audienceOf(actor)] = 'write:equity';
      await server.base.db.approval.update({ where, data: { grantPayload: payload } });
      await decide(agent.bearer, request.id, 'approve');
      const { access_token: accessToken } = (await poll(server, agent, request)).body;
      expect(decodeJwt(accessToken!)).toMatchObject({ may_act: { sub: actor.client_id } });
      const { status, body } = await requestToken(
        server,
        { id: actor.client_id, secret: actor.api_key },
        {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: accessToken!,
          subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        },
      );
      expect([status, body.error, body.error_description]).toEqual([
        400,
        'invalid_request',
        'an approval of a single action cannot be delegated',
      ]);
    }
  });

  it('is denied while open, and the token of an approved one is revoked, by a password reset', async () => {
    const { agent, accessToken, open } = await createApprovedAgent();
    await server.base.db.account.update({ where: { id: agent.ownerId }, data: { emailVerified: true } });
    await server.core.passwordReset.requestReset(agent.ownerEmail, systemMeta);
    const resetToken = tokenIn(await mailTo(server, agent.ownerEmail, /Choose/));
    await server.core.passwordReset.reset(resetToken, 'nine unrelated lanterns', systemMeta);
    expect(await isActive(agent, accessToken)).toBe(false);
    expect((await poll(server, agent, open)).body.error).toBe('access_denied');
    const { access_token: bearer } = await logIn(server, agent.ownerEmail, 'nine unrelated lanterns');
    expect(await listOpenRequests(bearer)).toEqual([]);
    expect((await decide(bearer, open.id, 'approve')).json.error).toBe('conflict');
  });

  it('is denied while open, and the token of an approved one is revoked, by a suspension', async () => {
    const { agent, accessToken, open } = await createApprovedAgent();
    const second = await server.account(); // another manager, so that the agent stays active
    await addMember(server, agent.company_id, second.id, 'admin');
    await changeAccount(server, agent.ownerId, { status: 'suspended' });
    expect(await isActive(agent, accessToken)).toBe(false);
    expect((await poll(server, agent, open)).body.error).toBe('access_denied');
    expect((await decide(agent.bearer, open.id, 'approve')).status).toBe(401);
  });

  it('keeps its token if the user signs out, but not if the session is revoked or the agent is deleted', async () => {
    const { agent, accessToken } = await createApprovedAgent();
    await callApi(server, 'POST', '/auth/logout', { token: agent.bearer });
    expect(await isActive(agent, accessToken)).toBe(true);
    const { access_token: bearer } = await logIn(server, agent.ownerEmail);
    await callApi(server, 'DELETE', `/agents/${agent.agent_id}`, { token: bearer });
    expect(await countGrants(agent)).toBe(0);

    const other = await createApprovedAgent();
    const sessions = JSON.parse((await callApi(server, 'GET', '/auth/sessions', { token: other.agent.bearer })).text);
    await server.core.sessions.revoke(sessions[0].id, 'revoked', systemMeta);
    expect(await isActive(other.agent, other.accessToken)).toBe(false);
  });
});
