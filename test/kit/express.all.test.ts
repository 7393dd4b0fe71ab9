// An Express app with a real Signet: it accepts the credentials that Signet issues for it, and no
// others, while keys are rotated.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authOf, type ExpressRequest, protect } from '../../src/kit/adapters/express.js';
import { createRemoteVerifier, type RemoteVerifierOptions } from '../../src/kit/index.js';
import { onboard } from '../support/agents.js';
import { createSignedInAccount } from '../support/api.js';
import { dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
import { importClient } from '../support/client-libraries.js';
import { movableClock } from '../support/movable-clock.js';
import { requestToken, type TestClient } from '../support/relying-party.js';
import { callApi } from '../support/request.js';
import { createResource } from '../support/resources.js';
import { startServer, type TestServer } from '../support/server.js';

type Handler = (req: ExpressRequest, res: { json(body: unknown): void }) => void;
interface Express {
  (...request: unknown[]): void;
  get(path: string, guard: ReturnType<typeof protect>, handler: Handler): void;
  listen(port: number, host: string): Server;
}
const { default: express } = await importClient<{ default: () => Express }>('express');

const AUDIENCE = 'https://tickets.example';
const OTHER = 'https://other.example';
const HOUR_MS = 3_600_000;

describe('an Express app that the kit protects', () => {
  let server: TestServer;
  let machine: TestClient;
  let httpServer: Server;
  let url: string;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ clock });
    await createResource(server, OTHER, { scopes: [{ name: 'other:read' }] });
    await createResource(server, AUDIENCE, { scopes: [{ name: 'ticket:read' }] });
    machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    const app = express();
    serve(app, '/tickets', {}, { scope: 'ticket:read' });
    serve(
      app,
      '/stack',
      { audience: `${server.issuer}/api/v1`, acceptUnclaimedAgents: true },
      { permission: { resource: 'cap-table', action: 'read' } },
    );
    serve(app, '/logins', { acceptLogins: true });
    serve(app, '/online', { acceptLogins: true, online: true, validation: { cacheFor: '0s', rejectionsFor: '0s' } });
    serve(app, '/keys', { acceptKeys: true, validation: { cacheFor: '0s', rejectionsFor: '0s' } });
    serve(app, '/keys/tickets', { acceptKeys: true }, { scope: 'ticket:read' });
    serve(app, '/unclaimed', { acceptKeys: true, acceptUnclaimedAgents: true });
    serve(app, '/unclaimed/stack', { audience: `${server.issuer}/api/v1` });
    httpServer = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => httpServer.once('listening', resolve));
    url = `http://127.0.0.1:${(httpServer.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    httpServer.close();
    await server.close();
  });

  function serve(app: Express, path: string, options: Partial<RemoteVerifierOptions>, rules = {}) {
    const now = () => clock.now().getTime();
    const verifier = createRemoteVerifier({ issuer: server.issuer, audience: AUDIENCE, now, ...options });
    app.get(path, protect(verifier.resolve, rules), (req, res) => res.json(authOf(req)));
  }

  const issue = async (resource = AUDIENCE, client = machine) => {
    const { body } = await requestToken(server, client, { grant_type: 'client_credentials', resource });
    return body.access_token!;
  };
  async function get(path: string, credential: string, headers: Record<string, string> = {}) {
    const response = await fetch(url + path, { headers: { authorization: `Bearer ${credential}`, ...headers } });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  }
  async function login() {
    const { accountId: id, access_token: token } = await createSignedInAccount(server);
    return { id, token };
  }

  it('accepts a token that was issued for it', async () => {
    const { status, body } = await get('/tickets', await issue());
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ type: 'agent', agentId: machine.id, scopes: ['ticket:read'] }),
    ]);
  });

  it('rejects tokens for another API or for Signet itself, and ID tokens', async () => {
    expect(await get('/tickets', await issue(OTHER))).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
    const { token: own } = await login();
    expect(await get('/tickets', own)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('rejects an expired token', async () => {
    const token = await issue();
    await later(9 * HOUR_MS, async () => {
      expect(await get('/tickets', token)).toMatchObject({ status: 401, body: { error: 'expired_token' } });
    });
  });

  it('accepts tokens of a new signing key, and rejects those of a withdrawn one', async () => {
    const old = await issue();
    expect((await get('/tickets', old)).status).toBe(200);
    await later(60_000, async () => {
      await server.core.keys.rotate({ atOnce: true });
      expect((await get('/tickets', await issue())).status).toBe(200);
      expect((await get('/tickets', old)).status).toBe(401);
    });
  });

  it('requires a proof for a DPoP-bound token', async () => {
    const key = await makeKey();
    const { body } = await tokenWithProof(server, machine, key, {
      grant_type: 'client_credentials',
      resource: AUDIENCE,
    });
    const bound = body.access_token!;
    const proof = await dpop(key, { htm: 'GET', htu: `${url}/tickets`, accessToken: bound });
    const withProof = { authorization: `DPoP ${bound}`, dpop: proof };
    expect((await get('/tickets', bound)).status).toBe(401);
    expect(await get('/tickets', bound, withProof)).toMatchObject({ status: 200, body: { jkt: key.thumbprint } });
    expect(await get('/tickets', bound, withProof)).toMatchObject({
      status: 401,
      body: { error: 'invalid_dpop_proof' },
    });
  });

  it('accepts a login with acceptLogins until it expires, and with online until it is revoked', async () => {
    const { id, token: own } = await login();
    expect(await get('/logins', own)).toMatchObject({ status: 200, body: { type: 'human', userId: id, via: 'login' } });
    expect((await get('/online', own)).status).toBe(200);
    await callApi(server, 'POST', '/auth/logout', { token: own });
    expect((await get('/logins', own)).status).toBe(200); // verified locally, by signature and expiry
    expect(await get('/online', own)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });

  it('accepts the key and token of an unclaimed agent only with acceptUnclaimedAgents', async () => {
    const body = { agent_id: 'bot', agent_name: 'Bot', capabilities: ['read:cap-table'] };
    const agent = await onboard(server, body);
    const known = { type: 'agent', agentId: agent.client_id, permissions: ['read:cap-table'] };
    expect(await get('/unclaimed', agent.api_key)).toMatchObject({ status: 200, body: { ...known, agentName: 'Bot' } });
    expect((await get('/online', agent.api_key)).status).toBe(401);
    expect((await get('/keys', agent.api_key)).status).toBe(401);
    expect((await get('/unclaimed/stack', agent.token)).status).toBe(401);
    const withToken = { ...known, permissions: ['read:cap-table', 'tools:validate'] };
    expect(await get('/stack', agent.token)).toMatchObject({ status: 200, body: withToken });
    expect((await get('/logins', agent.token)).status).toBe(401);
  });

  it('accepts an API key with acceptKeys until it is revoked', async () => {
    const { id, token: own } = await login();
    const { json } = await callApi(server, 'POST', '/api-keys', { token: own, body: { name: 'CI' } });
    const { id: keyId, api_key: apiKey } = json as { id: string; api_key: string };
    expect((await get('/online', apiKey)).status).toBe(401);
    expect(await get('/keys', apiKey)).toMatchObject({
      status: 200,
      body: { type: 'human', userId: id, via: 'introspected' },
    });
    expect((await get('/keys/tickets', apiKey)).status).toBe(403); // without the scope
    await callApi(server, 'DELETE', `/api-keys/${keyId}`, { token: own });
    expect(await get('/keys', apiKey)).toMatchObject({ status: 401, body: { error: 'invalid_token' } });
  });
});
