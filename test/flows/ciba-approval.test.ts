// An agent that needs a person's yes for one thing (CIBA, poll mode), with openid-client on its
// side and a browser on the person's.

import { decodeJwt, decodeProtectedHeader } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

describe('an agent that asks a person', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
    await addCapTable(server);
  });
  afterAll(() => server.close());

  const configFor = ({ client_id: id, api_key: secret }: ClaimedAgent) => discover(server, { id, secret });
  const question = (agent: ClaimedAgent) => ({
    scope: 'openid write:equity read:cap-table',
    resource: CAP_TABLE,
    login_hint: agent.ownerEmail,
    binding_message: 'Grant 2026-114',
    authorization_details: JSON.stringify([ACTION]),
  });
  const pollOnce = (config: oidc.Configuration, asked: oidc.BackchannelAuthenticationResponse) =>
    oidc.pollBackchannelAuthenticationGrant(config, { ...asked, interval: 0.01 });

  it('finds in discovery how it is done', async () => {
    const metadata = (await configFor(await createClaimedAgent(server))).serverMetadata();
    expect(metadata).toMatchObject({
      backchannel_authentication_endpoint: `${server.issuer}/oauth/ciba`,
      backchannel_token_delivery_modes_supported: ['poll'],
      backchannel_user_code_parameter_supported: false,
      authorization_details_types_supported: ['agent_action'],
    });
    expect(metadata.grant_types_supported).toContain(CIBA_GRANT);
  });

  it('is allowed on a page, after a mail, and gets a token for that one thing', async () => {
    const agent = await createClaimedAgent(server);
    await server.base.db.account.update({ where: { id: agent.ownerId }, data: { emailVerified: true } });
    const config = await configFor(agent);
    const asked = await oidc.initiateBackchannelAuthentication(config, question(agent));
    expect(asked).toMatchObject({ expires_in: 600, interval: 5 });

    const mail = await mailTo(server, agent.ownerEmail, /approval/);
    expect(mail.text).not.toContain('Grant 2026-114'); // what the agent says is for the page
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
    expect(page.html).not.toContain('Read who owns what.'); // not one of the agent's capabilities
    expect((await browser.open('/account')).html).toContain('href="/account/approvals"');
    const form = formsOf(page.html).findIndex(({ action }) => action.startsWith('/account/approvals/'));
    expect((await browser.submit(page, { decision: 'approve', csrf: 'x' }, form)).status).toBe(403);
    expect((await browser.submit(page, { decision: 'maybe' }, form)).status).toBe(400);
    const done = await browser.submit(page, { decision: 'approve' }, form);
    expect(done.html).toContain('Approved. The agent can now do this once');
    expect(done.html).toContain('No pending requests');
    expect((await browser.submit(page, { decision: 'deny' }, form)).html).toContain('already been decided');

    const tokens = await pollOnce(config, asked);
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
    await expect(pollOnce(config, asked)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('is refused in an app of ours, and hears of it', async () => {
    const agent = await createClaimedAgent(server);
    const config = await configFor(agent);
    const asked = await oidc.initiateBackchannelAuthentication(config, question(agent));
    const [open] = JSON.parse((await callApi(server, 'GET', '/approvals', { token: agent.bearer })).text);
    expect(open).toMatchObject({
      agent: { client_id: agent.client_id, agent_id: agent.agent_id, company_id: agent.company_id },
      binding_message: 'Grant 2026-114',
      authorization_details: [ACTION],
      resource: CAP_TABLE,
      scope: 'write:equity',
    });
    const answer = await callApi(server, 'POST', `/approvals/${open.id}`, {
      token: agent.bearer,
      body: { decision: 'deny' },
    });
    expect(answer.status).toBe(200);
    await expect(pollOnce(config, asked)).rejects.toMatchObject({ error: 'access_denied' });
    expect(await mailsTo(server, agent.ownerEmail)).toEqual([]); // the address may be another's
  });

  it('is told to wait, to poll less often, and that it is too late', async () => {
    const agent = await createClaimedAgent(server);
    const asked = await requestApproval(server, agent, agent.ownerEmail, { requested_expiry: '60' });
    expect(asked.body.expires_in).toBe(60);
    expect((await poll(server, agent, asked)).body.error).toBe('authorization_pending');
    expect((await poll(server, agent, asked)).body.error).toBe('slow_down');
    await server.core.audit.flush();
    expect(await server.core.audit.list({ clientId: agent.client_id, action: 'token.denied' })).toEqual([]);

    const kind = 'BackchannelAuthenticationRequest';
    const id = server.core.oauthStorage.idOf(asked.body.auth_req_id!);
    const { payload } = await server.base.db.oidcArtifact.findUniqueOrThrow({ where: { kind_id: { kind, id } } });
    const over = { ...(payload as object), exp: Math.floor(Date.now() / 1000) - 1 };
    await server.base.db.oidcArtifact.update({ where: { kind_id: { kind, id } }, data: { payload: over } });
    await server.base.db.approval.updateMany({
      where: { agentId: agent.client_id },
      data: { expiresAt: new Date(Date.now() - 1000) },
    });
    expect((await poll(server, agent, asked)).body.error).toBe('expired_token');
    expect(JSON.parse((await callApi(server, 'GET', '/approvals', { token: agent.bearer })).text)).toEqual([]);
    expect((await requestApproval(server, agent, agent.ownerEmail)).status).toBe(200); // it stands in the way no more
  });

  it.each<[string, Record<string, string>, string]>([
    ['without a binding message', { binding_message: '' }, 'invalid_request'],
    ['with an unreadable one', { binding_message: `a${'\u202e'}b` }, 'invalid_binding_message'],
    ['with one that is too long', { binding_message: 'x'.repeat(101) }, 'invalid_binding_message'],
    ['without saying what for', { authorization_details: '' }, 'invalid_authorization_details'],
    ['for another type of thing', { authorization_details: '[{"type":"payment"}]' }, 'invalid_authorization_details'],
    [
      'with what is not shown',
      { authorization_details: JSON.stringify([{ ...ACTION, hidden: 'x' }]) },
      'invalid_authorization_details',
    ],
    [
      'for another place than the one that is asked for',
      { authorization_details: JSON.stringify([{ ...ACTION, locations: ['https://other.example/'] }]) },
      'invalid_authorization_details',
    ],
    ['for no scope of its own', { scope: 'openid read:cap-table' }, 'invalid_scope'],
    ['for an API that there is not', { resource: 'https://nowhere.example/' }, 'invalid_target'],
    ['with a hint of a kind that there is not', { login_hint: '', login_hint_token: 'x' }, 'unknown_user_id'],
    ['without a hint', { login_hint: '' }, 'invalid_request'],
  ])('is refused %s', async (_what, more, error) => {
    const agent = await createClaimedAgent(server);
    const { status, body } = await requestApproval(server, agent, agent.ownerEmail, more);
    expect([status, body.error]).toEqual([400, error]);
    expect(await server.base.db.approval.count({ where: { agentId: agent.client_id } })).toBe(0);
  });

  it('gets no further by it than it was allowed: not to answer for the person, say', async () => {
    const agent = await createClaimedAgent(server);
    const ownApi = `${server.issuer}/api/v1`;
    const asked = await requestApproval(server, agent, agent.ownerEmail, { resource: ownApi });
    const [{ id }] = JSON.parse((await callApi(server, 'GET', '/approvals', { token: agent.bearer })).text);
    await callApi(server, 'POST', `/approvals/${id}`, { token: agent.bearer, body: { decision: 'approve' } });
    const { access_token: accessToken } = (await poll(server, agent, asked)).body;
    expect(decodeJwt(accessToken!)).toMatchObject({ aud: ownApi, sub: agent.ownerId });
    await requestApproval(server, agent, agent.ownerEmail);
    const [next] = JSON.parse((await callApi(server, 'GET', '/approvals', { token: agent.bearer })).text);
    for (const token of [accessToken!, agent.token, agent.api_key]) {
      for (const [method, path] of [
        ['GET', '/approvals'],
        ['POST', `/approvals/${next.id}`],
        ['GET', '/auth/me'],
      ] as const) {
        const body = method === 'POST' ? { decision: 'approve' } : undefined;
        const answer = await callApi(server, method, path, { token, body });
        expect([answer.status, answer.json.error], path).toEqual([403, 'insufficient_scope']);
      }
    }
  });

  it('is a thing of agents: no app asks like that, and no consent page is made to', async () => {
    const client = await server.client();
    const asApp = { client_id: client.id, api_key: client.secret };
    const { email } = await server.account();
    expect((await requestApproval(server, asApp, email)).body.error).toBe('unauthorized_client');
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
