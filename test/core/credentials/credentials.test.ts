// Each kind of credential, resolved through the sandbox endpoint, and the reasons to reject it.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { suspendAccount } from '../../support/accounts.js';
import { createSignedInAccount } from '../../support/api.js';
import { makeKey, tokenWithProof } from '../../support/client-keys.js';
import { obtainCode, REDIRECT_URI, requestToken, type TestClient } from '../../support/relying-party.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily, revoke } from '../../support/token-family.js';

describe.each(stores)('a credential on $name', (store) => {
  let server: TestServer;
  let ownApi: string;
  beforeAll(async () => {
    server = await startServer({ store, settings: { TEST_AUTH: 'true' } });
    ownApi = `${server.issuer}/api/v1`;
  });
  afterAll(() => server.close());

  const resolve = (headers: Record<string, string>) => callApi(server, 'GET', '/test-auth/auth-status', { headers });
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const anonymous = { authenticated: false, principal: { type: 'anonymous' } };
  const principal = (type: string, id: string) => ({ authenticated: true, principal: { type, id } });

  /** Obtains an access token for our own API on behalf of a new user. */
  async function obtainApiToken(client: TestClient) {
    const { email, id } = await server.account();
    const family = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource: ownApi });
    return { accountId: id, accessToken: family.accessToken };
  }

  it('resolves to an anonymous principal if it is missing', async () => {
    expect((await resolve({})).json).toEqual(anonymous);
  });

  it('resolves to a user if it is a session token, in a header or cookie', async () => {
    const { access_token: token, accountId } = await createSignedInAccount(server);
    for (const headers of [bearer(token), { authorization: `bearer ${token}` }, { cookie: `cap_access=${token}` }]) {
      expect((await resolve(headers)).json).toEqual(principal('human', accountId));
    }
  });

  it('resolves to a user if it is an OAuth token, which cannot replace a session', async () => {
    const { accountId, accessToken } = await obtainApiToken(await server.client());
    expect((await resolve(bearer(accessToken))).json).toEqual(principal('human', accountId));
    const rejected = await callApi(server, 'GET', '/auth/me', { token: accessToken });
    expect([rejected.status, rejected.json.error]).toEqual([403, 'insufficient_scope']);
  });

  it('resolves to a client if it is the token of a client itself', async () => {
    const machine = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    const params = { grant_type: 'client_credentials', resource: ownApi, scope: 'memory:read' };
    const { body } = await requestToken(server, machine, params);
    expect((await resolve(bearer(body.access_token!))).json).toEqual(principal('agent', machine.id));
    await server.core.clients.remove(machine.id, systemMeta);
    expect((await resolve(bearer(body.access_token!))).json.error).toBe('invalid_token');
  });

  it('is rejected if it is an OAuth token without audience, bound to a key, or revoked, or a refresh token', async () => {
    const client = await server.client();
    const app = await server.client({ token_endpoint_auth_method: 'none' });
    const { email } = await server.account();
    const opaque = await openTokenFamily(server, client, email);
    const revoked = await obtainApiToken(client);
    await revoke(server, client, revoked.accessToken);
    const code = await obtainCode(server, app, email, { scope: 'openid memory:read', resource: ownApi });
    const redeemed = { grant_type: 'authorization_code', code: code.code, code_verifier: code.verifier };
    const bound = await tokenWithProof(server, app, await makeKey(), {
      ...redeemed,
      redirect_uri: REDIRECT_URI,
      resource: ownApi,
    });
    expect(bound.status).toBe(200);
    for (const token of [opaque.accessToken, opaque.refreshToken, revoked.accessToken, bound.body.access_token!]) {
      expect((await resolve(bearer(token))).json.error).toBe('invalid_token');
    }
    expect((await resolve({ authorization: `DPoP ${bound.body.access_token}` })).json.error).toBe('invalid_token');
  });

  it.each([
    [
      'its consent is revoked',
      (accountId: string, { id }: TestClient) => server.core.consents.revoke(accountId, id, systemMeta),
    ],
    ['its session is revoked', (accountId: string) => revokeAllSessions(server, accountId, 'revoked')],
    ['its account is suspended', (accountId: string) => suspendAccount(server, accountId)],
  ])('that an app obtained is rejected at once when %s', async (_when, revokeAccess) => {
    const client = await server.client();
    const { accountId, accessToken } = await obtainApiToken(client);
    expect((await resolve(bearer(accessToken))).status).toBe(200);
    await revokeAccess(accountId, client);
    expect((await resolve(bearer(accessToken))).json.error).toBe('invalid_token');
  });

  it('is cached separately for each audience, even if it is crafted to collide', async () => {
    const url = 'https://tool.example/app';
    const admin = (await server.account()).id;
    await server.core.tools.create({ slug: 'tool', name: 'Tool', url }, admin, systemMeta);
    const { email } = await server.account();
    const scope = 'openid tools:validate';
    const { accessToken } = await openTokenFamily(server, await server.client(), email, { scope, resource: url });
    expect(await server.core.credentials.resolve(accessToken, {}, url)).toMatchObject({ kind: 'oauth' });
    const forged = `${accessToken} ${url}`; // would collide with a joined cache key
    await expect(server.core.credentials.resolve(forged)).rejects.toMatchObject({ code: 'invalid_token' });
    const inCookie = { cookie: `cap_access=${forged}` } as Record<string, string>;
    for (const headers of [{ 'x-api-key': forged }, inCookie, bearer(accessToken)]) {
      expect((await resolve(headers)).json.error).toBe('invalid_token');
    }
  });

  it('is rejected if two headers differ or if it is malformed', async () => {
    const [one, other] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const both = (a: string, b: string) => resolve({ ...bearer(a), 'x-api-key': b });
    expect((await both(one.access_token, other.access_token)).json.error).toBe('invalid_token');
    expect((await both(one.access_token, one.access_token)).json).toEqual(principal('human', one.accountId));
    for (const authorization of [
      'Bearer',
      'Bearer ',
      `Basic ${Buffer.from('a:b').toString('base64')}`,
      one.access_token,
      `Bearer ${one.access_token} ${one.access_token}`,
      `Bearer ${one.access_token.slice(0, -2)}`,
      `Bearer ${'x'.repeat(9000)}`,
    ]) {
      const response = await resolve({ authorization });
      expect([response.status, response.json.error], authorization).toEqual([401, 'invalid_token']);
    }
  });

  it('takes precedence over cookies if it is in a header', async () => {
    const [one, other] = [await createSignedInAccount(server), await createSignedInAccount(server)];
    const cookie = `cap_access=${other.access_token}`;
    expect((await resolve({ ...bearer(one.access_token), cookie })).json).toEqual(principal('human', one.accountId));
    expect((await resolve({ ...bearer('wrong'), cookie })).json.error).toBe('invalid_token');
  });

  it('is rejected after a change to its header or signature', async () => {
    const { access_token: token } = await createSignedInAccount(server);
    const [head = '', body = '', signature = ''] = token.split('.');
    const header = JSON.parse(Buffer.from(head, 'base64url').toString());
    const withHeader = (change: object) =>
      `${Buffer.from(JSON.stringify({ ...header, ...change })).toString('base64url')}.${body}.${signature}`;
    for (const change of [
      { alg: 'none' },
      { alg: 'HS256' },
      { typ: 'at+jwt' },
      { typ: 'JWT' },
      { kid: 'other' },
      { crit: ['x'] },
    ]) {
      expect((await resolve(bearer(withHeader(change)))).json.error).toBe('invalid_token');
    }
    expect((await resolve(bearer(`${head}.${body}.`))).json.error).toBe('invalid_token');
  });
});

describe('the test sandbox', () => {
  it('does not exist unless enabled', async () => {
    const server = await startServer();
    try {
      for (const [method, path] of [
        ['GET', 'auth-status'],
        ['POST', 'create-test-user'],
        ['POST', 'test-login'],
      ] as const) {
        expect((await callApi(server, method, `/test-auth/${path}`)).status).toBe(404);
      }
    } finally {
      await server.close();
    }
  });

  it('creates test users and signs them in', async () => {
    const server = await startServer({ settings: { TEST_AUTH: 'true' } });
    try {
      const body = { email: 'test@example.com', password: 'TestPass123!' };
      const created = await callApi(server, 'POST', '/test-auth/create-test-user', { body });
      const login = await callApi(server, 'POST', '/test-auth/test-login', { body });
      expect([created.status, login.status]).toEqual([201, 200]);
      for (const { json } of [created, login]) expect(json).toMatchObject({ email: body.email, token_type: 'bearer' });
    } finally {
      await server.close();
    }
  });
});
