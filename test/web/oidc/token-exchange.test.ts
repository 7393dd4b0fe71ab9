// Tokens with which an agent acts on behalf of a user (RFC 8693).

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { suspendAccount } from '../../support/accounts.js';
import {
  ACCESS_TOKEN_TYPE,
  addApis,
  asClient,
  audienceOf,
  authorizeResources,
  authorizeResourcesUrl,
  BOARD_API,
  createOwnedAgent,
  EXCHANGE_GRANT,
  exchangeToken,
  OPAQUE_API,
  scopesOf,
} from '../../support/agent-clients.js';
import { type OnboardedAgent, onboard } from '../../support/agents.js';
import { Browser } from '../../support/browser.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { movableClock } from '../../support/movable-clock.js';
import { pkce, type TestClient } from '../../support/relying-party.js';
import { callApi, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily, revoke } from '../../support/token-family.js';

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe.each(stores)('token exchange on $name', (store) => {
  const { clock, later } = movableClock();
  let server: TestServer;
  let secondServer: TestServer;
  /** The app that users authorize, with the agent as the resource. */
  let app: TestClient;
  let resourceServer: TestClient;
  beforeAll(async () => {
    const settings = { TRUSTED_PROXIES: '127.0.0.1' };
    server = await startServer({ store, clock, settings });
    await addApis(server);
    secondServer = await startServer({ sharedWith: server, clock, settings });
    app = await server.client();
    resourceServer = await server.client();
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  const ownApi = () => `${server.issuer}/api/v1`;
  const createAgent = (capabilities = ['read:cap-table', 'write:equity', 'read:board']) =>
    createOwnedAgent(server, capabilities);
  /** Obtains an access token of the user whose audience is the agent. */
  const obtainSubjectToken = async (
    email: string,
    agent: OnboardedAgent,
    scope = 'openid read:cap-table write:equity',
  ) => (await openTokenFamily(server, app, email, { scope, resource: audienceOf(server, agent) })).accessToken;
  const exchange = (agent: OnboardedAgent, subjectToken: string, more: Record<string, string> = {}) =>
    exchangeToken(server, asClient(agent), subjectToken, more);
  const isActive = async (accessToken: string, at = server) =>
    (await introspect(at, resourceServer, accessToken)).body.active === true;
  const expectInactiveEverywhere = async (accessToken: string) => {
    expect(await isActive(accessToken)).toBe(false);
    await expect.poll(() => isActive(accessToken, secondServer), { timeout: 1000, interval: 50 }).toBe(false);
  };

  it('issues a token with `act`, limited to the allowed scopes, and no refresh token', async () => {
    const { owner, agent } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    expect(decodeJwt(subjectToken)).toMatchObject({ aud: audienceOf(server, agent), sub: owner.accountId });
    const { status, body } = await exchange(agent, subjectToken);
    expect(status, JSON.stringify(body)).toBe(200);
    expect(body).toEqual({
      access_token: expect.any(String),
      issued_token_type: ACCESS_TOKEN_TYPE,
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      scope: 'read:cap-table write:equity',
    });
    const claims = decodeJwt(body.access_token!);
    expect(claims).toMatchObject({
      aud: ownApi(),
      sub: owner.accountId,
      client_id: agent.client_id,
      act: { sub: agent.client_id },
      company_id: agent.company_id,
      claimed: true,
    });
    expect(claims.exp).toBeLessThanOrEqual(decodeJwt(subjectToken).exp!);
    const { body: introspected } = await introspect(server, resourceServer, body.access_token!);
    expect(introspected).toMatchObject({
      active: true,
      sub: owner.accountId,
      act: { sub: agent.client_id },
      client_id: agent.client_id,
    });
  });

  it('narrows the scope on request, and is audited without the tokens', async () => {
    const { owner, agent } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    const { body } = await exchange(agent, subjectToken, { scope: 'read:cap-table', resource: BOARD_API });
    expect(decodeJwt(body.access_token!)).toMatchObject({ aud: BOARD_API, scope: 'read:cap-table' });
    const events = await server.core.audit.list({ accountId: owner.accountId, action: 'token.exchanged' });
    expect(events).toHaveLength(1);
    expect(JSON.stringify(events)).not.toContain(body.access_token);
  });

  it('is announced on the consent page, with the agent and the requested scopes', async () => {
    const { owner, agent } = await createAgent();
    const browser = new Browser(server.origin);
    await browser.signIn(owner.email, PASSWORD);
    const resources = [audienceOf(server, agent)];
    const { challenge } = pkce();
    const page = await browser.open(
      authorizeResourcesUrl(server, app, { resources, scope: 'openid write:equity', challenge }),
    );
    expect(page.html).toContain('Agent Cap Table Automation');
    expect(page.html).toContain('Issue grants');
  });

  it('accepts a token for another API if the authorization also named the agent', async () => {
    const { owner, agent } = await createAgent();
    const scope = 'openid read:cap-table write:equity memory:read';
    const redeemed = await authorizeResources(server, app, owner.email, {
      resources: [ownApi(), audienceOf(server, agent)],
      scope,
    });
    const subjectToken = redeemed.body.access_token!;
    expect(decodeJwt(subjectToken)).toMatchObject({ aud: ownApi(), may_act: { sub: agent.client_id } });
    const { body } = await exchange(agent, subjectToken);
    expect(scopesOf(body.access_token)).toEqual(['read:cap-table', 'write:equity']);
    const { agent: other } = await createAgent();
    expect((await exchange(other, subjectToken)).body.error).toBe('invalid_request');
  });

  it("issues tokens bound to the agent's DPoP key", async () => {
    const { owner, agent } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    const { body } = await tokenWithProof(server, asClient(agent), await makeKey(), {
      grant_type: EXCHANGE_GRANT,
      subject_token: subjectToken,
      subject_token_type: ACCESS_TOKEN_TYPE,
    });
    expect(body.token_type).toBe('DPoP');
    expect(decodeJwt(body.access_token!)).toMatchObject({ cnf: { jkt: expect.any(String) } });
  });

  it('delegates to other agents, at most four levels deep', async () => {
    const { owner, agent: first } = await createAgent();
    const agents = [first];
    for (const agent_id of ['b', 'c', 'd', 'e'])
      agents.push(await onboard(server, { agent_id, capabilities: ['read:cap-table'] }, owner.access_token));
    let token = await obtainSubjectToken(owner.email, first);
    const chain = agents.slice(0, 4);
    for (const [n, agent] of chain.entries()) {
      const isLast = n === chain.length - 1;
      const toNext = { resource: audienceOf(server, agents[n + 1]!) };
      if (isLast) {
        const { status, body } = await exchange(agent, token, toNext);
        const reason = 'a chain of delegation has at most 4 agents';
        expect([status, body.error, body.error_description]).toEqual([400, 'invalid_target', reason]);
      }
      const response = await exchange(agent, token, isLast ? {} : toNext);
      expect(response.status, JSON.stringify(response.body)).toBe(200);
      token = response.body.access_token!;
      expect(scopesOf(token)).toEqual(['read:cap-table']);
    }
    expect(JSON.stringify(decodeJwt(token).act).match(/sub/g)).toHaveLength(4);
    expect(await isActive(token)).toBe(true);
    await callApi(server, 'DELETE', `/agents/${agents[1]!.client_id}`, { token: owner.access_token });
    expect(await isActive(token)).toBe(false); // an agent in the chain was deleted
  });

  it('delegates to an agent of another organization only if the user named it', async () => {
    const { owner, agent } = await createAgent();
    const { agent: external } = await createAgent();
    const toExternal = { resource: audienceOf(server, external) };
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    const { status, body } = await exchange(agent, subjectToken, toExternal);
    const reason = 'an agent can delegate only within its organization, or to an agent that the user consented to';
    expect([status, body.error, body.error_description]).toEqual([400, 'invalid_target', reason]);
    await expect
      .poll(() => server.core.audit.list({ clientId: agent.client_id, action: 'token.denied' }))
      .toMatchObject([{ detail: { reason } }]);
    const redeemed = await authorizeResources(server, app, owner.email, {
      resources: [audienceOf(server, agent), audienceOf(server, external)],
      scope: 'openid read:cap-table',
    });
    const delegated = await exchange(agent, redeemed.body.access_token!, toExternal);
    const exchanged = await exchange(external, delegated.body.access_token!);
    expect(scopesOf(exchanged.body.access_token)).toEqual(['read:cap-table']);
  });

  it('issues an opaque token that is revoked when an agent in its chain is deleted', async () => {
    const { owner, agent: first } = await createAgent();
    const second = await onboard(server, { agent_id: 'b', capabilities: ['read:cap-table'] }, owner.access_token);
    const toSecond = { resource: audienceOf(server, second) };
    const delegated = await exchange(first, await obtainSubjectToken(owner.email, first), toSecond);
    const { body } = await exchange(second, delegated.body.access_token!, { resource: OPAQUE_API });
    const accessToken = body.access_token!;
    expect(accessToken).not.toContain('.');
    for (const at of [server, secondServer]) expect(await isActive(accessToken, at)).toBe(true);
    await callApi(server, 'DELETE', `/agents/${first.client_id}`, { token: owner.access_token });
    await expectInactiveEverywhere(accessToken);
  });

  it('rejects a subject token that is not an access token of a user for this agent', async () => {
    const { owner, agent } = await createAgent();
    const { agent: other } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    const forOwnApi = await openTokenFamily(server, app, owner.email, {
      scope: 'openid read:cap-table',
      resource: ownApi(),
    });
    const opaque = await openTokenFamily(server, app, owner.email, {});
    const redeemed = await authorizeResources(server, app, owner.email, {
      resources: [audienceOf(server, agent)],
      scope: 'openid read:cap-table',
    });
    const [header, payload, signature] = subjectToken.split('.');
    const altered = base64url({ ...decodeJwt(subjectToken), scope: 'admin' });
    for (const [name, exchangingAgent, token] of [
      ["another agent's token", other, subjectToken],
      ['a token for our API', agent, forOwnApi.accessToken],
      ['an opaque token', agent, opaque.accessToken],
      ['a refresh token', agent, opaque.refreshToken],
      ['a first-party token', agent, owner.access_token],
      ['an ID token', agent, redeemed.body.id_token!],
      ["the agent's own token", agent, agent.token],
      ["the agent's key", agent, agent.api_key],
      ['an altered token', agent, `${header}.${altered}.${signature}`],
      ['an unsigned token', agent, `${base64url({ alg: 'none', typ: 'at+jwt' })}.${payload}.`],
      ['garbage', agent, 'garbage'],
    ] as const) {
      const { status, body } = await exchange(exchangingAgent, token);
      expect([status, body.error], name).toEqual([400, 'invalid_request']);
    }
  });

  it.each([
    ['invalid_request', { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }],
    ['invalid_request', { requested_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['invalid_request', { actor_token: 'x' }],
    ['invalid_request', { subject_token: '' }],
    ['invalid_target', { resource: 'https://unknown.example' }],
    ['invalid_target', { audience: 'x' }],
  ])('fails with %s for the parameter %j', async (error, parameter) => {
    const { owner, agent } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    expect((await exchange(agent, subjectToken, parameter as Record<string, string>)).body.error).toBe(error);
  });

  it('is not available to a client that is not an agent', async () => {
    const { owner, agent } = await createAgent();
    const { status, body } = await exchangeToken(server, app, await obtainSubjectToken(owner.email, agent));
    expect([status, body.error]).toEqual([400, 'unauthorized_client']);
  });

  it('grants only scopes that the user allowed, the agent has and the resource defines', async () => {
    const { owner, agent } = await createAgent(['read:cap-table', 'read:board', 'admin']);
    const scope = 'openid read:cap-table write:equity read:board admin';
    const subjectToken = await obtainSubjectToken(owner.email, agent, scope);
    expect(scopesOf(subjectToken)).toEqual(['read:board', 'read:cap-table']); // consent never includes `admin`
    for (const requested of ['write:equity', 'admin', 'read:cap-table admin', 'openid', 'write:board']) {
      const { status, body } = await exchange(agent, subjectToken, { scope: requested });
      expect([status, body.error], requested).toEqual([400, 'invalid_scope']);
    }
    const narrow = await obtainSubjectToken(owner.email, agent, 'openid read:board');
    expect((await exchange(agent, narrow, { scope: 'read:cap-table' })).body.error).toBe('invalid_scope');
  });

  type Owned = Awaited<ReturnType<typeof createAgent>>;
  it.each<[string, (owned: Owned) => Promise<unknown>]>([
    ['consent is revoked', ({ owner }) => server.core.consents.revoke(owner.accountId, app.id, systemMeta)],
    ['session is revoked', ({ owner }) => revokeAllSessions(server, owner.accountId, 'signed_out')],
    ['account is suspended', ({ owner }) => suspendAccount(server, owner.accountId)],
    [
      'agent is deleted',
      ({ owner, agent }) => callApi(server, 'DELETE', `/agents/${agent.client_id}`, { token: owner.access_token }),
    ],
  ])('issues tokens that are revoked when the %s, as is the subject token', async (_event, invalidate) => {
    const owned = await createAgent();
    const subjectToken = await obtainSubjectToken(owned.owner.email, owned.agent);
    const accessToken = (await exchange(owned.agent, subjectToken)).body.access_token!;
    for (const at of [server, secondServer]) expect(await isActive(accessToken, at)).toBe(true);
    await invalidate(owned);
    await expectInactiveEverywhere(accessToken);
    expect((await exchange(owned.agent, subjectToken)).body.error).toMatch(/invalid_(request|client)/);
  });

  it("issues tokens that are revoked when the agent's key is rotated", async () => {
    const { owner, agent } = await createAgent();
    const accessToken = (await exchange(agent, await obtainSubjectToken(owner.email, agent))).body.access_token!;
    for (const at of [server, secondServer]) expect(await isActive(accessToken, at)).toBe(true);
    await callApi(server, 'POST', `/agents/${agent.client_id}/rotate-key`, { token: owner.access_token });
    await expectInactiveEverywhere(accessToken);
  });

  it('rejects an expired or revoked subject token', async () => {
    const { owner, agent } = await createAgent();
    const subjectToken = await obtainSubjectToken(owner.email, agent);
    await later(8 * 3_600_000 + 1000, async () => {
      expect((await exchange(agent, subjectToken)).body.error_description).toContain('expired');
    });
    await revoke(server, app, subjectToken);
    expect((await exchange(agent, subjectToken)).body.error).toBe('invalid_request');
  });

  it('is advertised in the discovery document', async () => {
    const { json, text } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
    expect(json.grant_types_supported).toContain(EXCHANGE_GRANT);
    expect(text).not.toContain('"admin"');
  });
});
