// POST /api/validate: which credentials are worth what to a tool, how often it may ask, and that an
// ordinary question, which is answered past the routes, gets the same answer as any other.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { onboard } from '../../support/agents.js';
import { createSignedInAccount } from '../../support/api.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { AUDIENCE, signToken } from '../../support/external-issuer.js';
import { obtainCode, REDIRECT_URI, type TestClient, requestToken as tokenOf } from '../../support/relying-party.js';
import { basicAuth, callTools, FORM, sendRequest, type TestResponse } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { openTokenFamily, revoke } from '../../support/token-family.js';
import { createToolsAccount, createToolsKey, validateToken } from '../../support/tools-api.js';

const ELSEWHERE = 'https://auth.example';
const SHARED_SECRET = 'a secret that two systems share, 3';
const TOOL_URL = 'https://dealroom.example/app';
const VARYING = new Set(['date', 'x-request-id', 'content-length']);

describe('what a tool is told', () => {
  let server: TestServer;
  let client: TestClient;
  let admin: Awaited<ReturnType<typeof createToolsAccount>>;
  let queries = 0;
  beforeAll(async () => {
    server = await startServer({
      settings: {
        JWT_SECRET: SHARED_SECRET,
        JWT_ISSUER: ELSEWHERE,
        JWT_AUDIENCE: AUDIENCE,
        TRUSTED_PROXIES: '127.0.0.0/8,::1',
        RATE_LIMIT_VALIDATE: '1000',
      },
      wrapBase: (base) => ({ ...base, db: counting(base.db) }),
    });
    client = await server.client();
    admin = await createToolsAccount(server, 'admin');
    await server.core.tools.create({ slug: 'dealroom', name: 'Deal room', url: TOOL_URL }, admin.id, systemMeta);
    await server.core.tools.create({ slug: 'wiki', name: 'Wiki' }, admin.id, systemMeta);
  });
  afterAll(() => server.close());

  /** Counts whatever asks the database. */
  function counting<Client extends object>(db: Client): Client {
    return new Proxy(db, {
      get(target, name) {
        if (name !== '$on' && name !== '$disconnect') queries += 1;
        const member = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
  }

  const grant = (accountId: string, level: 'read' | 'write' | 'admin') =>
    server.core.permissions.grant({ accountId, slug: 'dealroom', level }, admin.id, systemMeta);

  async function tokenFor(email: string, resource: string, scope = 'openid tools:validate') {
    return (await openTokenFamily(server, client, email, { scope, resource })).accessToken;
  }

  it('by a token for us or for this tool, with the scope for it: who it is, and what was granted', async () => {
    const { id, email } = await server.account();
    await grant(id, 'write');
    const ours = await tokenFor(email, `${server.issuer}/api/v1`);
    const theirs = await tokenFor(email, TOOL_URL);
    const principal = { type: 'client', client_id: client.id, scopes: ['tools:validate'] };
    for (const token of [ours, theirs]) {
      const { json } = await validateToken(server, token, 'dealroom');
      expect(json).toMatchObject({ valid: true, user: { id, email, role: 'viewer' }, permission: 'write', principal });
    }
    expect((await validateToken(server, ours)).json.valid).toBe(true);
    expect((await validateToken(server, ours, 'wiki')).json).toMatchObject({ valid: true, permission: null });
    for (const tool of [undefined, 'wiki', 'none']) {
      const { status, json } = await validateToken(server, theirs, tool);
      expect([status, json.valid, json.error]).toEqual([401, false, 'invalid_token']);
    }
    await revoke(server, client, theirs);
    await revoke(server, client, ours);
    for (const token of [ours, theirs]) expect((await validateToken(server, token, 'dealroom')).status).toBe(401);
  });

  it('by a token of an app without that scope, or opaque, or bound to a key without its proof: nothing', async () => {
    const { email } = await server.account();
    const narrow = await tokenFor(email, `${server.issuer}/api/v1`, 'openid memory:read');
    expect((await validateToken(server, narrow, 'dealroom')).json).toMatchObject({
      valid: false,
      error: 'insufficient_scope',
    });
    const opaque = await openTokenFamily(server, client, email);
    expect((await validateToken(server, opaque.accessToken)).json).toMatchObject({
      valid: false,
      error: 'invalid_token',
    });

    const app = await server.client({ token_endpoint_auth_method: 'none' });
    const resource = `${server.issuer}/api/v1`;
    const { code, verifier } = await obtainCode(server, app, email, { scope: 'openid tools:validate', resource });
    const grantType = { grant_type: 'authorization_code', code, code_verifier: verifier };
    const more = { redirect_uri: REDIRECT_URI, resource };
    const { body } = await tokenWithProof(server, app, await makeKey(), { ...grantType, ...more });
    const bound = body.access_token!;
    for (const scheme of ['Bearer', 'DPoP']) {
      const told = await callTools(server, 'POST', '/validate', { headers: { authorization: `${scheme} ${bound}` } });
      expect([told.status, told.json.valid]).toEqual([401, false]);
      expect(told.headers['www-authenticate']).toMatch(/^DPoP /);
    }
  });

  it('by a token for its URL, however somebody spelt that who registered it as an API', async () => {
    const [asApi, asTool] = ['https://tc.example/', 'https://tc.example'];
    await server.base.db.resource.create({ data: { identifier: asApi, name: 'TC' } });
    await server.core.tools.create({ slug: 'tc', name: 'TC', url: asTool }, admin.id, systemMeta);
    await server.core.resources.reload();
    const { id, email } = await server.account();
    await server.core.permissions.grant({ accountId: id, slug: 'tc', level: 'read' }, admin.id, systemMeta);
    for (const resource of [asApi, asTool]) {
      const token = await tokenFor(email, resource);
      expect((await validateToken(server, token, 'tc')).json).toMatchObject({
        valid: true,
        user: { id },
        permission: 'read',
      });
      for (const other of [undefined, 'wiki', 'dealroom'])
        expect((await validateToken(server, token, other)).status).toBe(401);
    }
  });

  it('of an administrator who came by way of an app: no more than was granted to them', async () => {
    const token = await tokenFor(admin.email, TOOL_URL);
    const none = { valid: true, user: { id: admin.id, role: 'viewer' }, permission: null };
    expect((await validateToken(server, token, 'dealroom')).json).toMatchObject(none);
    expect((await validateToken(server, admin.token, 'dealroom')).json.permission).toBe('admin');
  });

  it('by an agent’s key, by the token that came with it, and by one that it asked for with that scope', async () => {
    const { access_token: owner, email } = await createSignedInAccount(server);
    const agent = await onboard(server, { capabilities: ['read:cap-table'] }, owner);
    const own = `${server.issuer}/api/v1`;
    const ask = async (more: Record<string, string>) => {
      const asAgent = { id: agent.client_id, secret: agent.api_key };
      return (await tokenOf(server, asAgent, { grant_type: 'client_credentials', ...more })).body.access_token ?? '';
    };
    const principal = { type: 'agent', id: agent.client_id, agent_id: agent.agent_id };
    const known = { valid: true, user: { email }, permission: null, principal };
    const forUs = await ask({ resource: own, scope: 'tools:validate read:cap-table' });
    const forTool = await ask({ resource: TOOL_URL, scope: 'tools:validate' });
    for (const credential of [agent.api_key, agent.token, forUs])
      expect((await validateToken(server, credential, 'dealroom')).json).toMatchObject({
        ...known,
        principal: { ...principal, scopes: ['read:cap-table'] },
      });
    expect((await validateToken(server, forTool, 'dealroom')).json).toMatchObject({
      ...known,
      principal: { ...principal, scopes: [] },
    });
    expect((await validateToken(server, forTool, 'wiki')).json).toMatchObject({ valid: false, error: 'invalid_token' });
    for (const narrow of [await ask({}), await ask({ resource: own, scope: 'read:cap-table' })])
      expect((await validateToken(server, narrow, 'dealroom')).json).toMatchObject({
        valid: false,
        error: 'insufficient_scope',
      });
  });

  it('of an app that acts for nobody: that it is one', async () => {
    const machine = await server.client({
      grant_types: ['client_credentials'],
      redirect_uris: [],
      scope: 'tools:validate',
    });
    const form = { grant_type: 'client_credentials', resource: TOOL_URL, scope: 'tools:validate' };
    const headers = { 'content-type': FORM, authorization: basicAuth(machine) };
    const { json } = await sendRequest(server, 'POST', '/oauth/token', headers, String(new URLSearchParams(form)));
    const told = await validateToken(server, String(json.access_token), 'dealroom');
    const user = { id: machine.id, name: machine.id, email: null, role: 'viewer' };
    expect(told.json).toMatchObject({ valid: true, user, permission: null, error: 'No access to this tool' });
  });

  it('by a token of an issuer elsewhere: the account that it stands for', async () => {
    const { id } = await server.account();
    await grant(id, 'read');
    const secret = new TextEncoder().encode(SHARED_SECRET);
    const token = await signToken(secret, 'HS256', { iss: ELSEWHERE, sub: id, role: 'admin' });
    const told = (await validateToken(server, token, 'dealroom')).json;
    expect(told).toMatchObject({ valid: true, user: { id, role: 'viewer' }, permission: 'read' });
    expect(told).not.toHaveProperty('principal');
  });

  it('of nobody, by what is worth nothing: why', async () => {
    const { token } = await createToolsAccount(server);
    const expired = await server.core.apiKeys.create(
      (await server.core.accounts.find(admin.id))!,
      { name: 'K', format: 'cb', lifeSeconds: -1 },
      systemMeta,
    );
    for (const [headers, error] of [
      [{}, 'no_auth'],
      [{ authorization: 'Bearer nothing' }, 'invalid_token'],
      [{ authorization: 'Basic amFuZTpzZWNyZXQ=' }, 'invalid_token'],
      [{ authorization: token }, 'invalid_token'],
      [{ authorization: `Bearer ${token}`, 'x-api-key': 'cb_other' }, 'invalid_token'],
      [{ authorization: `Bearer ${expired.key}` }, 'expired_token'],
      [{ authorization: `Bearer ${token.slice(0, -2)}` }, 'invalid_token'],
    ] as const) {
      const { status, json, headers: told } = await callTools(server, 'POST', '/validate', { headers: { ...headers } });
      expect([status, json.valid, json.error], JSON.stringify(headers)).toEqual([401, false, error]);
      expect(told['www-authenticate']).toContain('resource_metadata');
    }
  });

  it.each([
    [{ tool: 5 }, 400],
    [{ tool: 'x'.repeat(101) }, 400],
    [[], 400],
    [{ tool: null }, 200],
    [{ tool: 'wiki', more: [1, 2] }, 200],
  ])('asked with %j is answered with %i', async (body, status) => {
    expect((await callTools(server, 'POST', '/validate', { token: admin.token, body })).status).toBe(status);
  });

  describe('past the routes', () => {
    const alike = ({ status, headers, json }: TestResponse) => {
      const { request_id: _varies, ...members } = json;
      const kept = Object.entries(headers).filter(([name]) => !VARYING.has(name) && !name.startsWith('ratelimit-re'));
      return { status, headers: Object.fromEntries(kept), members };
    };

    const questions = async (): Promise<[string, Record<string, string | string[]>, string | undefined][]> => {
      const { id, token } = await createToolsAccount(server);
      await grant(id, 'read');
      const json = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
      return [
        ['a yes', json, '{"tool":"dealroom"}'],
        ['a no', json, '{"tool":"wiki"}'],
        ['without a tool', { authorization: `Bearer ${token}` }, undefined],
        ['two tokens', { ...json, authorization: [`Bearer ${token}`, 'Bearer nothing'] }, '{"tool":"dealroom"}'],
        ['a bad token', { ...json, authorization: 'Bearer nothing' }, '{"tool":"dealroom"}'],
        ['no JSON', json, '{'],
        ['no UTF-8', json, '"\udc00'],
        ['a wrong type', json, '{"tool":5}'],
        ['no object', json, '7'],
      ];
    };

    it('gets the same answer, to the letter', async () => {
      for (const [name, headers, body] of await questions()) {
        const straight = await sendRequest(server, 'POST', '/api/validate', headers, body);
        const long = await sendRequest(server, 'POST', '/api/validate?long', headers, body);
        expect(alike(straight), name).toEqual(alike(long));
        expect(straight.headers, name).toMatchObject({
          'cache-control': 'no-store',
          'content-security-policy': expect.stringContaining("default-src 'none'"),
          'x-content-type-options': 'nosniff',
          'ratelimit-limit': '1000',
        });
        expect(straight.headers['x-request-id']).toMatch(/^[\w-]{36}$/);
      }
    });

    it('is logged as every other, without its token', async () => {
      const requestId = `given-${Math.random()}`;
      const headers = { 'x-request-id': requestId, 'x-forwarded-for': '6.6.6.6, 203.0.113.7' };
      await callTools(server, 'POST', '/validate', { token: admin.token, headers });
      const line = () => server.lines.map((text) => JSON.parse(text)).find((one) => one.requestId === requestId);
      await expect.poll(line, { timeout: 2000 }).toMatchObject({
        msg: 'request',
        method: 'POST',
        path: '/api/validate',
        status: 200,
        address: '203.0.113.7',
      });
      expect(server.lines.join('')).not.toContain(admin.token);
    });

    it('is left to the routes where it is not an ordinary one', async () => {
      const headers = { authorization: `Bearer ${admin.token}` };
      const type = { ...headers, 'content-type': 'application/json' };
      const send = (more: Record<string, string>, body: string) =>
        sendRequest(server, 'POST', '/api/validate', more, body);
      expect((await send({ ...type, 'content-encoding': 'gzip' }, '{}')).json.error).toBe('unsupported_media_type');
      expect((await send({ ...headers, 'content-type': 'text/plain' }, '{}')).status).toBe(415);
      expect((await send(type, `"${'x'.repeat(70_000)}"`)).status).toBe(413);
      expect((await send({ ...type, 'x-api-key': admin.token }, '{}')).status).toBe(200);
      expect((await sendRequest(server, 'GET', '/api/validate', headers)).status).toBe(405);
      const preflight = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
      expect((await sendRequest(server, 'OPTIONS', '/api/validate', preflight)).headers).not.toHaveProperty(
        'access-control-allow-origin',
      );
    });

    it('does not ask the database about a key that it asked about a moment ago', async () => {
      const { id, token } = await createToolsAccount(server);
      await grant(id, 'read');
      const key = await createToolsKey(server, token);
      // What the house writes now and then, and a second that is over, may fall into one round, but
      // not into each.
      const asked: number[] = [];
      for (let round = 0; round < 5 && !asked.includes(0); round += 1) {
        expect((await validateToken(server, key, 'dealroom')).json.permission).toBe('read');
        const before = queries;
        expect(before).toBeGreaterThan(0);
        for (let n = 0; n < 10; n += 1)
          expect((await validateToken(server, key, 'dealroom')).json.permission).toBe('read');
        asked.push(queries - before);
      }
      expect(asked).toContain(0);
    });

    it('is counted by the address of the tool together with all others, and by nothing else', async () => {
      const from = { 'x-forwarded-for': '198.51.100.7' };
      const bad = { ...from, authorization: 'Bearer nothing', 'content-type': 'application/json' };
      const told: string[] = [];
      for (let n = 0; n < 120; n += 1) {
        const path = n % 4 === 0 ? '/api/validate?long' : '/api/validate';
        const { status, headers } = await sendRequest(server, 'POST', path, bad, '{}');
        if (status !== 401) throw new Error(`the limit of bad tokens counts here: ${status}`);
        told.push(headers['ratelimit-remaining']!);
      }
      expect(told).toEqual(Array.from({ length: 120 }, (_, n) => String(999 - n)));
    });
  });

  it('is told so often in a minute, and no more', async () => {
    const strict = await startServer({ settings: { RATE_LIMIT_VALIDATE: '3' } });
    const { email } = await strict.account();
    const { json } = await callTools(strict, 'POST', '/token', { body: { email, password: PASSWORD } });
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await validateToken(strict, String(json.token))).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    const refused = await sendRequest(strict, 'POST', '/api/validate?long');
    expect([refused.status, refused.json.error]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await callTools(strict, 'GET', '/me', { token: String(json.token) })).status).toBe(200);
    await strict.close();
  });
});
