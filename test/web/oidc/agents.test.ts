// Agents as OAuth clients with tokens of their own. token-exchange.test.ts covers tokens that act
// on behalf of users.

import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY_SECONDS } from '../../../src/base/clock.js';
import { systemMeta } from '../../../src/base/request-meta.js';
import {
  addApis,
  asClient,
  audienceOf,
  BOARD_API,
  createOwnedAgent,
  exchangeToken,
  scopesOf,
} from '../../support/agent-clients.js';
import { getAgent, onboard } from '../../support/agents.js';
import { movableClock } from '../../support/movable-clock.js';
import { authorizeUrl, pkce, requestToken, type TestClient } from '../../support/relying-party.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect } from '../../support/token-family.js';

const CREDENTIALS = { grant_type: 'client_credentials' };
const UNCLAIMED_LIFETIME_MS = 7 * DAY_SECONDS * 1000;

describe.each(stores)('an agent as an OAuth client on $name', (store) => {
  const { clock, later } = movableClock();
  let server: TestServer;
  let secondServer: TestServer;
  let resourceServer: TestClient;
  beforeAll(async () => {
    const settings = { TRUSTED_PROXIES: '127.0.0.1' };
    server = await startServer({ store, clock, settings });
    await addApis(server);
    secondServer = await startServer({ sharedWith: server, clock, settings });
    resourceServer = await server.client();
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  const ownApi = () => `${server.issuer}/api/v1`;
  const createAgent = (capabilities = ['read:cap-table', 'write:equity', 'read:board']) =>
    createOwnedAgent(server, capabilities);
  const isActive = async (accessToken: string, at = server) =>
    (await introspect(at, resourceServer, accessToken)).body.active === true;

  it.each(['HTTP Basic', 'the form'])(
    'gets tokens within its capabilities, with its client id and key in %s',
    async (method) => {
      const { agent } = await createAgent();
      const [client, secret] =
        method === 'the form'
          ? [{ id: agent.client_id, secret: '' }, { client_secret: agent.api_key }]
          : [asClient(agent), {}];
      const request = (more: Record<string, string> = {}) =>
        requestToken(server, client, { ...CREDENTIALS, ...secret, ...more });
      const all = await request();
      expect(all.status, JSON.stringify(all.body)).toBe(200);
      expect(scopesOf(all.body.access_token)).toEqual(['read:board', 'read:cap-table', 'write:equity']);
      expect(decodeJwt(all.body.access_token!)).toMatchObject({
        aud: ownApi(),
        sub: agent.client_id,
        client_id: agent.client_id,
        company_id: agent.company_id,
        claimed: true,
      });
      const narrowed = await request({ scope: 'read:cap-table', resource: ownApi() });
      expect(scopesOf(narrowed.body.access_token)).toEqual(['read:cap-table']);
      expect((await getAgent(server, agent, narrowed.body.access_token!)).status).toBe(200);
      const other = await request({ resource: BOARD_API });
      expect(decodeJwt(other.body.access_token!)).toMatchObject({ aud: BOARD_API, company_id: agent.company_id });
      expect(scopesOf(other.body.access_token)).toEqual(['read:board', 'read:cap-table']);
      expect((await getAgent(server, agent, other.body.access_token!)).status).toBe(401); // another audience
    },
  );

  it('gets no scope beyond its capabilities', async () => {
    const { agent } = await createAgent(['read:cap-table']);
    const { body } = await requestToken(server, asClient(agent), {
      ...CREDENTIALS,
      scope: 'admin write:equity memory:read',
      resource: ownApi(),
    });
    expect(body.access_token && decodeJwt(body.access_token).scope).toBeUndefined();
  });

  it('is authenticated by its own key only', async () => {
    const { agent } = await createAgent();
    const { agent: other } = await createAgent();
    for (const secret of [other.api_key, agent.token, agent.api_key.slice(0, -1), 'x']) {
      const response = await requestToken(server, { id: agent.client_id, secret }, CREDENTIALS);
      expect([response.status, response.body.error]).toEqual([401, 'invalid_client']);
    }
  });

  it.each(['authorization_code', 'refresh_token'])('cannot use the grant type %s', async (grant) => {
    const { agent } = await createAgent();
    const params = { grant_type: grant, code: 'x', refresh_token: 'x' };
    const { status, body } = await requestToken(server, asClient(agent), params);
    expect([status, body.error]).toEqual([400, 'unauthorized_client']);
  });

  it('is not managed as a client of an administrator', async () => {
    const { agent } = await createAgent();
    expect((await server.core.clients.list()).map(({ id }) => id)).not.toContain(agent.client_id);
    await expect(server.core.clients.rotateSecret(agent.client_id, systemMeta)).rejects.toThrow(
      'The client does not exist',
    );
  });

  it('gets tokens only for resources open to unclaimed agents while it is unclaimed', async () => {
    const agent = await onboard(server, { capabilities: ['read:cap-table', 'read:board'] });
    const forOwnApi = await requestToken(server, asClient(agent), { ...CREDENTIALS, resource: ownApi() });
    expect(decodeJwt(forOwnApi.body.access_token!)).toMatchObject({ claimed: false });
    const forBoard = await requestToken(server, asClient(agent), { ...CREDENTIALS, resource: BOARD_API });
    expect([forBoard.status, forBoard.body.error]).toEqual([400, 'invalid_target']);
    const exchanged = await exchangeToken(server, asClient(agent), 'x');
    expect([exchanged.status, exchanged.body.error]).toEqual([400, 'unauthorized_client']);
  });

  it('cannot be the resource of an authorization while it is unclaimed', async () => {
    const agent = await onboard(server);
    const url = authorizeUrl(server, resourceServer, pkce().challenge, { resource: audienceOf(server, agent) });
    const response = await fetch(url, { redirect: 'manual' });
    expect(response.headers.get('location')).toContain('invalid_target');
  });

  it('gets no token that expires after the agent, and none after its expiry', async () => {
    const agent = await onboard(server, { capabilities: ['read:cap-table'] });
    await later(UNCLAIMED_LIFETIME_MS - 60_000, async () => {
      const { body } = await requestToken(server, asClient(agent), CREDENTIALS);
      expect(body.expires_in).toBeGreaterThan(0);
      expect(body.expires_in).toBeLessThanOrEqual(60);
    });
    await later(UNCLAIMED_LIFETIME_MS + 1000, async () => {
      expect((await requestToken(server, asClient(agent), CREDENTIALS)).body.error).toBe('invalid_client');
    });
  });

  it.each([
    ['its key is rotated', 'POST', '/rotate-key'],
    ['it is deleted', 'DELETE', ''],
  ])('loses its tokens on every server when %s', async (_event, method, path) => {
    const { agent, owner } = await createAgent();
    const accessToken = (await requestToken(server, asClient(agent), CREDENTIALS)).body.access_token!;
    for (const at of [server, secondServer]) expect(await isActive(accessToken, at)).toBe(true);
    const response = await callApi(server, method, `/agents/${agent.client_id}${path}`, { token: owner.access_token });
    expect(response.status).toBeLessThan(300);
    expect(await isActive(accessToken)).toBe(false);
    await expect.poll(() => isActive(accessToken, secondServer), { timeout: 1000, interval: 50 }).toBe(false);
    expect((await requestToken(secondServer, asClient(agent), CREDENTIALS)).body.error).toBe('invalid_client');
  });
});
