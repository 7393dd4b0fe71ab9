// An agent that requests the approval of its owner (CIBA, poll mode). The agent uses openid-client,
// the owner a browser.

import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { verifyEmail } from '../support/accounts.js';
import {
  ACTION,
  addCapTable,
  CAP_TABLE,
  CIBA_GRANT,
  type ClaimedAgent,
  createClaimedAgent,
  poll,
  requestApproval,
} from '../support/approval-requests.js';
import { Browser, formsOf } from '../support/browser.js';
import { linkIn, mailsTo, mailTo } from '../support/mailbox.js';
import { discover } from '../support/openid-client.js';
import { callApi } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { introspect } from '../support/token-family.js';

describe('an agent with CIBA', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
    await addCapTable(server);
  });
  afterAll(() => server.close());

  const configFor = ({ client_id: id, api_key: secret }: ClaimedAgent) => discover(server, { id, secret });
  const requestParameters = (agent: ClaimedAgent) => ({
    scope: 'openid write:equity read:cap-table',
    resource: CAP_TABLE,
    login_hint: agent.ownerEmail,
    binding_message: 'Grant 2026-114',
    authorization_details: JSON.stringify([ACTION]),
  });
  const pollOnce = (config: oidc.Configuration, request: oidc.BackchannelAuthenticationResponse) =>
    oidc.pollBackchannelAuthenticationGrant(config, { ...request, interval: 0.01 });

  const listApprovals = async ({ bearer }: ClaimedAgent): Promise<{ id: string }[]> =>
    JSON.parse((await callApi(server, 'GET', '/approvals', { token: bearer })).text);
  const decide = ({ bearer }: ClaimedAgent, id: string, decision: 'approve' | 'deny') =>
    callApi(server, 'POST', `/approvals/${id}`, { token: bearer, body: { decision } });

  it('finds the endpoint and the delivery mode in the discovery document', async () => {
    const metadata = (await configFor(await createClaimedAgent(server))).serverMetadata();
    expect(metadata).toMatchObject({
      backchannel_authentication_endpoint: `${server.issuer}/oauth/ciba`,
      backchannel_token_delivery_modes_supported: ['poll'],
      backchannel_user_code_parameter_supported: false,
      authorization_details_types_supported: ['agent_action'],
    });
    expect(metadata.grant_types_supported).toContain(CIBA_GRANT);
  });

  it('receives a token for one action after its owner was notified by mail and approved on a page', async () => {
    const agent = await createClaimedAgent(server);
    await verifyEmail(server, agent.ownerEmail);
    const config = await configFor(agent);
    const request = await oidc.initiateBackchannelAuthentication(config, requestParameters(agent));
    expect(request).toMatchObject({ expires_in: 600, interval: 5 });

    const mail = await mailTo(server, agent.ownerEmail, /approval/);
    expect(mail.text).not.toContain('Grant 2026-114'); // text of the agent appears only on the page
    const browser = new Browser(server.origin);
    const link = linkIn(mail).pathname;
    const page = await browser.signIn(agent.ownerEmail, PASSWORD, await browser.open(link));
    expect(page.url.pathname).toBe('/account/approvals');
    for (const text of [
      'Cap Table Automation',
      agent.agent_id,
      'Grant 2026-114',
      'issue an equity grant',
      'Series A',
    ]) {
      expect(page.html).toContain(text);
    }
    for (const text of ['shares', '1000', 'Ada Okafor', 'Cap table', CAP_TABLE, 'Issue grants.']) {
      expect(page.html).toContain(text);
    }
    expect(page.html).not.toContain('Read who owns what.'); // not a capability of the agent
    expect((await browser.open('/account')).html).toContain('href="/account/approvals"');
    const form = formsOf(page.html).findIndex(({ action }) => action.startsWith('/account/approvals/'));
    expect((await browser.submit(page, { decision: 'approve', csrf: 'x' }, form)).status).toBe(403);
    expect((await browser.submit(page, { decision: 'maybe' }, form)).status).toBe(400);
    const approved = await browser.submit(page, { decision: 'approve' }, form);
    expect(approved.html).toContain('Approved. The agent can now do this once');
    expect(approved.html).toContain('No pending requests');
    expect((await browser.submit(page, { decision: 'deny' }, form)).html).toContain('already been decided');

    const tokens = await pollOnce(config, request);
    expect(tokens).toMatchObject({
      token_type: 'bearer',
      expires_in: 300,
      scope: 'write:equity',
      authorization_details: [ACTION],
    });
    expect(tokens.refresh_token).toBeUndefined();
    expect(tokens.claims()).toMatchObject({ sub: agent.ownerId, amr: ['pwd'] });
    expect(tokens.claims()).not.toHaveProperty('email');
    expect(decodeProtectedHeader(tokens.access_token).typ).toBe('at+jwt');
    const claims = decodeJwt(tokens.access_token);
    expect(claims).toMatchObject({
      sub: agent.ownerId,
      act: { sub: agent.client_id },
      client_id: agent.client_id,
      aud: CAP_TABLE,
      scope: 'write:equity',
      authorization_details: [ACTION],
    });
    expect(claims.exp! - claims.iat!).toBe(300);
    const { body } = await introspect(server, { id: agent.client_id, secret: agent.api_key }, tokens.access_token);
    expect(body).toMatchObject({
      active: true,
      sub: agent.ownerId,
      act: { sub: agent.client_id },
      authorization_details: [ACTION],
    });
    await expect(pollOnce(config, request)).rejects.toMatchObject({ error: 'invalid_grant' });

    const { store, idOf } = server.core.oauthStorage;
    const requestId = idOf(request.auth_req_id);
    const remaining = (await store.get('BackchannelAuthenticationRequest', requestId))?.payload ?? {};
    expect(Object.keys(remaining).sort()).toEqual(['accountId', 'clientId', 'exp', 'iat', 'kind']);
    const approval = await server.base.db.approval.findUniqueOrThrow({ where: { requestId } });
    expect(approval.grantPayload).toEqual({});
  });

  it('receives access_denied when its owner denies the request in the JSON API', async () => {
    const agent = await createClaimedAgent(server);
    const config = await configFor(agent);
    const request = await oidc.initiateBackchannelAuthentication(config, requestParameters(agent));
    const [pending] = await listApprovals(agent);
    expect(pending).toMatchObject({
      agent: { client_id: agent.client_id, agent_id: agent.agent_id, company_id: agent.company_id },
      binding_message: 'Grant 2026-114',
      authorization_details: [ACTION],
      resource: CAP_TABLE,
      scope: 'write:equity',
    });
    expect((await decide(agent, pending!.id, 'deny')).status).toBe(200);
    await expect(pollOnce(config, request)).rejects.toMatchObject({ error: 'access_denied' });
    expect(await mailsTo(server, agent.ownerEmail)).toEqual([]); // their address is not verified
  });

  it('receives authorization_pending, slow_down and, after the expiry, expired_token', async () => {
    const agent = await createClaimedAgent(server);
    const request = await requestApproval(server, agent, agent.ownerEmail, { requested_expiry: '60' });
    expect(request.body.expires_in).toBe(60);
    expect((await poll(server, agent, request)).body.error).toBe('authorization_pending');
    expect((await poll(server, agent, request)).body.error).toBe('slow_down');
    await server.core.audit.flush();
    expect(await server.core.audit.list({ clientId: agent.client_id, action: 'token.denied' })).toEqual([]);

    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
    try {
      expect((await poll(server, agent, request)).body.error).toBe('expired_token');
      expect(await listApprovals(agent)).toEqual([]);
      expect((await requestApproval(server, agent, agent.ownerEmail)).status).toBe(200);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each<[string, Record<string, string>, string]>([
    ['without a binding message', { binding_message: '' }, 'invalid_request'],
    ['with an unprintable binding message', { binding_message: `a${'\u202e'}b` }, 'invalid_binding_message'],
    ['with a binding message that is too long', { binding_message: 'x'.repeat(101) }, 'invalid_binding_message'],
    ['without authorization details', { authorization_details: '' }, 'invalid_authorization_details'],
    [
      'with authorization details of another type',
      { authorization_details: '[{"type":"payment"}]' },
      'invalid_authorization_details',
    ],
    [
      'with a member that the page does not show',
      { authorization_details: JSON.stringify([{ ...ACTION, hidden: 'x' }]) },
      'invalid_authorization_details',
    ],
    [
      'with a location other than the resource',
      { authorization_details: JSON.stringify([{ ...ACTION, locations: ['https://other.example/'] }]) },
      'invalid_authorization_details',
    ],
    ['without a scope that is a capability of the agent', { scope: 'openid read:cap-table' }, 'invalid_scope'],
    ['for an unknown resource', { resource: 'https://nowhere.example/' }, 'invalid_target'],
    ['with an unsupported kind of hint', { login_hint: '', login_hint_token: 'x' }, 'unknown_user_id'],
    ['without a hint', { login_hint: '' }, 'invalid_request'],
  ])('cannot send a request %s', async (_case, more, error) => {
    const agent = await createClaimedAgent(server);
    const { status, body } = await requestApproval(server, agent, agent.ownerEmail, more);
    expect([status, body.error]).toEqual([400, error]);
    expect(await listApprovals(agent)).toEqual([]);
  });

  it('cannot use an approved token, or its own credentials, to decide about approvals', async () => {
    const agent = await createClaimedAgent(server);
    const ownApi = `${server.issuer}/api/v1`;
    const request = await requestApproval(server, agent, agent.ownerEmail, { resource: ownApi });
    const [first] = await listApprovals(agent);
    await decide(agent, first!.id, 'approve');
    const { access_token: accessToken } = (await poll(server, agent, request)).body;
    expect(decodeJwt(accessToken!)).toMatchObject({ aud: ownApi, sub: agent.ownerId });
    await requestApproval(server, agent, agent.ownerEmail);
    const [second] = await listApprovals(agent);
    for (const token of [accessToken!, agent.token, agent.api_key]) {
      for (const [method, path] of [
        ['GET', '/approvals'],
        ['POST', `/approvals/${second!.id}`],
        ['GET', '/auth/me'],
      ] as const) {
        const body = method === 'POST' ? { decision: 'approve' } : undefined;
        const response = await callApi(server, method, path, { token, body });
        expect([response.status, response.json.error], path).toEqual([403, 'insufficient_scope']);
      }
    }
  });

  it('is the only kind of client that can request approvals or use authorization details', async () => {
    const client = await server.client();
    const asAgent = { client_id: client.id, api_key: client.secret };
    const { email } = await server.account();
    expect((await requestApproval(server, asAgent, email)).body.error).toBe('unauthorized_client');
    const query = new URLSearchParams({
      client_id: client.id,
      response_type: 'code',
      redirect_uri: 'https://acme.example/cb',
      scope: 'openid',
      resource: CAP_TABLE,
      authorization_details: JSON.stringify([ACTION]),
      code_challenge: 'x'.repeat(43),
      code_challenge_method: 'S256',
    });
    const { url } = await new Browser(server.origin).open(`/oauth/authorize?${query}`);
    expect(url.searchParams.get('error')).toBe('invalid_authorization_details');
  });
});
