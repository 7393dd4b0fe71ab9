// POST /api/validate: the credentials that a tool can validate, and the response for each.
// validate-endpoint.test.ts covers the requests themselves.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { onboard } from '../../support/agents.js';
import { createSignedInAccount } from '../../support/api.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { AUDIENCE, signToken } from '../../support/external-issuer.js';
import { movableClock } from '../../support/movable-clock.js';
import { obtainCode, REDIRECT_URI, requestToken, type TestClient } from '../../support/relying-party.js';
import { callTools } from '../../support/request.js';
import { createResource } from '../../support/resources.js';
import { startServer, type TestServer } from '../../support/server.js';
import { openTokenFamily, revoke } from '../../support/token-family.js';
import { createToolsAccount, validateToken } from '../../support/tools-api.js';

const EXTERNAL_ISSUER = 'https://auth.example';
const SHARED_SECRET = 'a secret that two systems share, 3';
const TOOL_URL = 'https://dealroom.example/app';
const INVALID = { valid: false, error: 'invalid_token' };
const INSUFFICIENT_SCOPE = { valid: false, error: 'insufficient_scope' };

describe('the validate endpoint', () => {
  const { clock, later } = movableClock();
  let server: TestServer;
  let client: TestClient;
  let admin: Awaited<ReturnType<typeof createToolsAccount>>;
  beforeAll(async () => {
    const settings = { JWT_SECRET: SHARED_SECRET, JWT_ISSUER: EXTERNAL_ISSUER, JWT_AUDIENCE: AUDIENCE };
    server = await startServer({ settings, clock });
    client = await server.client();
    admin = await createToolsAccount(server, 'admin');
    await server.core.tools.create({ slug: 'dealroom', name: 'Deal room', url: TOOL_URL }, admin.id, systemMeta);
    await server.core.tools.create({ slug: 'wiki', name: 'Wiki' }, admin.id, systemMeta);
  });
  afterAll(() => server.close());

  const ownApi = () => `${server.issuer}/api/v1`;
  const grant = (accountId: string, level: 'read' | 'write' | 'admin', slug = 'dealroom') =>
    server.core.permissions.grant({ accountId, slug, level }, admin.id, systemMeta);
  const userToken = async (email: string, resource: string, scope = 'openid tools:validate') =>
    (await openTokenFamily(server, client, email, { scope, resource })).accessToken;

  it('returns user, permission and client for a token for our API, and for the tool', async () => {
    const { id, email } = await server.account();
    await grant(id, 'write');
    const principal = { type: 'client', client_id: client.id, scopes: ['tools:validate'] };
    for (const resource of [ownApi(), TOOL_URL]) {
      const { json } = await validateToken(server, await userToken(email, resource), 'dealroom');
      expect(json).toMatchObject({ valid: true, user: { id, email, role: 'viewer' }, permission: 'write', principal });
    }
  });

  it('accepts a token for our API for any tool, without a permission if none was granted', async () => {
    const { email } = await server.account();
    const token = await userToken(email, ownApi());
    expect((await validateToken(server, token)).json.valid).toBe(true);
    expect((await validateToken(server, token, 'wiki')).json).toMatchObject({ valid: true, permission: null });
  });

  it.each([undefined, 'wiki', 'unknown'])('rejects a token for one tool at the tool %s', async (tool) => {
    const { email } = await server.account();
    const { status, json } = await validateToken(server, await userToken(email, TOOL_URL), tool);
    expect([status, json]).toMatchObject([401, INVALID]);
  });

  it('rejects revoked tokens', async () => {
    const { email } = await server.account();
    for (const resource of [ownApi(), TOOL_URL]) {
      const token = await userToken(email, resource);
      expect((await validateToken(server, token, 'dealroom')).status).toBe(200);
      await revoke(server, client, token);
      expect((await validateToken(server, token, 'dealroom')).status).toBe(401);
    }
  });

  it('rejects a token without the scope tools:validate', async () => {
    const { email } = await server.account();
    const token = await userToken(email, ownApi(), 'openid memory:read');
    expect((await validateToken(server, token, 'dealroom')).json).toMatchObject(INSUFFICIENT_SCOPE);
  });

  it('rejects an opaque access token', async () => {
    const { email } = await server.account();
    const { accessToken } = await openTokenFamily(server, client, email);
    expect((await validateToken(server, accessToken)).json).toMatchObject(INVALID);
  });

  it('rejects a sender-constrained token without proof of possession', async () => {
    const { email } = await server.account();
    const app = await server.client({ token_endpoint_auth_method: 'none' });
    const resource = ownApi();
    const { code, verifier } = await obtainCode(server, app, email, { scope: 'openid tools:validate', resource });
    const { body } = await tokenWithProof(server, app, await makeKey(), {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
      resource,
    });
    for (const scheme of ['Bearer', 'DPoP']) {
      const authorization = `${scheme} ${body.access_token}`;
      const { status, json, headers } = await callTools(server, 'POST', '/validate', { headers: { authorization } });
      expect([status, json.valid]).toEqual([401, false]);
      expect(headers['www-authenticate']).toMatch(/^DPoP /);
    }
  });

  it('treats the URL of a tool with and without a trailing slash as the same resource', async () => {
    const [apiIdentifier, toolUrl] = ['https://tc.example/', 'https://tc.example'];
    await createResource(server, apiIdentifier);
    await server.core.tools.create({ slug: 'tc', name: 'TC', url: toolUrl }, admin.id, systemMeta);
    const { id, email } = await server.account();
    await grant(id, 'read', 'tc');
    for (const resource of [apiIdentifier, toolUrl]) {
      const token = await userToken(email, resource);
      const { json } = await validateToken(server, token, 'tc');
      expect(json).toMatchObject({ valid: true, user: { id }, permission: 'read' });
      for (const otherTool of [undefined, 'wiki', 'dealroom'])
        expect((await validateToken(server, token, otherTool)).status).toBe(401);
    }
  });

  it('limits an administrator who uses an app to their granted permissions', async () => {
    const token = await userToken(admin.email, TOOL_URL);
    const limited = { valid: true, user: { id: admin.id, role: 'viewer' }, permission: null };
    expect((await validateToken(server, token, 'dealroom')).json).toMatchObject(limited);
    expect((await validateToken(server, admin.token, 'dealroom')).json.permission).toBe('admin');
  });

  it("returns the agent and its owner for an agent's key and for its tokens", async () => {
    const { access_token: ownerToken, email } = await createSignedInAccount(server);
    const agent = await onboard(server, { capabilities: ['read:cap-table'] }, ownerToken);
    const agentToken = async (more: Record<string, string> = {}) => {
      const asClient = { id: agent.client_id, secret: agent.api_key };
      const { body } = await requestToken(server, asClient, { grant_type: 'client_credentials', ...more });
      return body.access_token ?? '';
    };
    const principal = { type: 'agent', id: agent.client_id, agent_id: agent.agent_id };
    const valid = { valid: true, user: { email }, permission: null };
    const forOwnApi = await agentToken({ resource: ownApi(), scope: 'tools:validate read:cap-table' });
    const forTool = await agentToken({ resource: TOOL_URL, scope: 'tools:validate' });
    for (const [credential, scopes] of [
      [agent.api_key, ['read:cap-table']],
      [agent.token, ['read:cap-table']],
      [forOwnApi, ['read:cap-table']],
      [forTool, []],
    ] as const) {
      const { json } = await validateToken(server, credential, 'dealroom');
      expect(json).toMatchObject({ ...valid, principal: { ...principal, scopes } });
    }
    expect((await validateToken(server, forTool, 'wiki')).json).toMatchObject(INVALID);
    for (const token of [await agentToken(), await agentToken({ resource: ownApi(), scope: 'read:cap-table' })])
      expect((await validateToken(server, token, 'dealroom')).json).toMatchObject(INSUFFICIENT_SCOPE);
  });

  it('returns the client in place of the user for a client credentials token', async () => {
    const metadata = { grant_types: ['client_credentials'], redirect_uris: [], scope: 'tools:validate' };
    const machine = await server.client(metadata);
    const params = { grant_type: 'client_credentials', resource: TOOL_URL, scope: 'tools:validate' };
    const { body } = await requestToken(server, machine, params);
    const { json } = await validateToken(server, body.access_token!, 'dealroom');
    const user = { id: machine.id, name: machine.id, email: null, role: 'viewer' };
    expect(json).toMatchObject({ valid: true, user, permission: null, error: 'No access to this tool' });
  });

  it('returns the account that a token of an external issuer belongs to', async () => {
    const { id } = await server.account();
    await grant(id, 'read');
    const secret = new TextEncoder().encode(SHARED_SECRET);
    const token = await signToken(secret, 'HS256', { iss: EXTERNAL_ISSUER, sub: id, role: 'admin' });
    const { json } = await validateToken(server, token, 'dealroom');
    expect(json).toMatchObject({ valid: true, user: { id, role: 'viewer' }, permission: 'read' });
    expect(json).not.toHaveProperty('principal');
  });

  it('rejects a missing, invalid or ambiguous credential with a challenge', async () => {
    const { token } = await createToolsAccount(server);
    for (const [headers, error] of [
      [{}, 'no_auth'],
      [{ authorization: 'Bearer unknown' }, 'invalid_token'],
      [{ authorization: 'Basic amFuZTpzZWNyZXQ=' }, 'invalid_token'],
      [{ authorization: token }, 'invalid_token'],
      [{ authorization: `Bearer ${token}`, 'x-api-key': 'cb_other' }, 'invalid_token'],
      [{ authorization: `Bearer ${token.slice(0, -2)}` }, 'invalid_token'],
    ] as [Record<string, string>, string][]) {
      const response = await callTools(server, 'POST', '/validate', { headers });
      const { valid, error: code } = response.json;
      expect([response.status, valid, code], JSON.stringify(headers)).toEqual([401, false, error]);
      expect(response.headers['www-authenticate']).toContain('resource_metadata');
    }
  });

  it('rejects an expired API key', async () => {
    const owner = await server.account();
    const { key } = await server.core.apiKeys.create(
      { account: owner },
      { name: 'CI', format: 'cb', lifeSeconds: 60 },
      systemMeta,
    );
    await later(61_000, async () => {
      const { status, json } = await validateToken(server, key);
      expect([status, json]).toMatchObject([401, { valid: false, error: 'expired_token' }]);
    });
  });
});
