// API resources (RFC 8707): registration, access, audiences and scopes.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccount } from '../../support/accounts.js';
import { logIn } from '../../support/api.js';
import { Browser } from '../../support/browser.js';
import { isConsent } from '../../support/openid-client.js';
import {
  authorizeUrl,
  obtainCode,
  pkce,
  redeemCode,
  refresh,
  requestToken,
  signInAndConsent,
} from '../../support/relying-party.js';
import { callApi, postForm, sendRequest } from '../../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { concurrently, openTokenFamily } from '../../support/token-family.js';

const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString());

describe.each(stores)('the registry of API resources on $name', (store) => {
  let server: TestServer;
  let secondServer: TestServer;
  let admin: string;
  beforeAll(async () => {
    server = await startServer({ store });
    secondServer = await startServer({ sharedWith: server });
    const { email } = await createAccount(server, { role: 'admin' });
    admin = (await logIn(server, email)).access_token;
  });
  afterAll(async () => {
    await secondServer.close();
    await server.close();
  });

  const asAdmin = (method: string, path: string, body?: object, at = server) =>
    callApi(at, method, path, { token: admin, body });
  const newIdentifier = () => `https://notes.example/${randomUUID()}`;
  const SCOPES = [
    { name: 'notes:read', description: 'Read your notes.' },
    { name: 'notes:write', description: 'Change your notes.', default: false },
  ];
  async function newApi(more: object = {}) {
    const identifier = newIdentifier();
    const { status, json, text } = await asAdmin('POST', '/resources', {
      identifier,
      name: 'Notes',
      scopes: SCOPES,
      ...more,
    });
    expect(status, text).toBe(201);
    return { identifier, id: String(json.id), json };
  }
  const machine = (metadata: object = {}) =>
    server.client({ redirect_uris: [], grant_types: ['client_credentials'], ...metadata });
  const asMachine = (client: Awaited<ReturnType<typeof machine>>, resource: string, more: object = {}, at = server) =>
    requestToken(at, client, { grant_type: 'client_credentials', resource, ...more });

  it('sets audience and lifetime of tokens, and shows scope descriptions at consent', async () => {
    const { identifier } = await newApi({ access_token_ttl: '5m' });
    const client = await server.client();
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    await browser.signIn(email, PASSWORD);
    const { challenge, verifier } = pkce();
    const requested = { resource: identifier, scope: 'openid notes:read notes:write' };
    const page = await browser.open(authorizeUrl(server, client, challenge, requested));
    expect(isConsent(page)).toBe(true);
    for (const text of ['Access to Notes', identifier, 'Read your notes.', 'Change your notes.'])
      expect(page.html).toContain(text);
    const code = (await signInAndConsent(browser, page, email)).searchParams.get('code')!;
    const { body } = await redeemCode(server, client, { code, verifier }, { resource: identifier });
    expect(body.expires_in).toBe(300);
    expect(claimsOf(body.access_token!)).toMatchObject({ aud: identifier, scope: 'notes:read notes:write' });
  });

  it('accepts only listed clients, and applies changes at once', async () => {
    const [listed, other] = [await machine(), await machine()];
    const { identifier, id } = await newApi({ clients: [listed.id] });
    expect((await asMachine(listed, identifier)).status).toBe(200);
    expect((await asMachine(other, identifier)).body.error).toBe('invalid_target');
    const app = await server.client();
    const { email } = await server.account();
    const url = await signInAndConsent(
      new Browser(server.origin),
      authorizeUrl(server, app, pkce().challenge, { resource: identifier }),
      email,
    );
    expect(url.searchParams.get('error')).toBe('invalid_target');

    await asAdmin('PATCH', `/resources/${id}`, { clients: [other.id, app.id] });
    expect((await asMachine(listed, identifier)).body.error).toBe('invalid_target');
    expect((await asMachine(other, identifier)).status).toBe(200);
    const statusAtSecondServer = async () => (await asMachine(other, identifier, {}, secondServer)).status;
    await expect.poll(statusAtSecondServer, { timeout: 3000 }).toBe(200);
    const scope = 'openid notes:read offline_access';
    const family = await openTokenFamily(server, app, email, { resource: identifier, scope, prompt: 'consent' });
    expect(claimsOf(family.accessToken).aud).toBe(identifier);
    await asAdmin('PATCH', `/resources/${id}`, { clients: [] });
    const again = await refresh(server, app, family.refreshToken, { resource: identifier });
    expect(again.body.error).toBe('invalid_target');
    await asAdmin('PATCH', `/resources/${id}`, { clients: null });
    expect((await refresh(server, app, family.refreshToken, { resource: identifier })).status).toBe(200);
  });

  it('rejects unknown and deleted APIs, and their tokens', async () => {
    const client = await machine();
    for (const resource of ['https://unknown.example/', 'notes', `${server.issuer}/api/v1#x`, '']) {
      expect((await asMachine(client, resource)).body.access_token ?? 'none', resource).not.toMatch(/\./);
    }
    expect((await asMachine(client, 'https://unknown.example/')).body.error).toBe('invalid_target');
    const { identifier, id } = await newApi();
    const { body } = await asMachine(client, identifier);
    const isActive = async () =>
      (await postForm(server, '/oauth/introspect', { token: body.access_token! }, { client })).json.active;
    expect(await isActive()).toBe(true);
    expect((await asAdmin('DELETE', `/resources/${id}`)).status).toBe(200);
    expect((await asMachine(client, identifier)).body.error).toBe('invalid_target');
    expect(await isActive()).toBe(false);
    expect((await asAdmin('DELETE', `/resources/${id}`)).status).toBe(404);
  });

  it('issues opaque tokens, whose audience is shown by introspection', async () => {
    const client = await machine();
    const { identifier } = await newApi({ access_token_format: 'opaque' });
    const { body } = await asMachine(client, identifier, { scope: 'notes:read' });
    expect(body.access_token).not.toContain('.');
    const { json } = await postForm(server, '/oauth/introspect', { token: body.access_token! }, { client });
    expect(json).toMatchObject({ active: true, aud: identifier, scope: 'notes:read' });
  });

  it('grants default scopes to requests without scope, within the scopes of the client', async () => {
    const { identifier } = await newApi();
    const { email } = await server.account();
    const scopesFor = async (client: Awaited<ReturnType<typeof machine>>) => {
      const obtained = await obtainCode(server, client, email, { resource: identifier, scope: '', nonce: '' });
      const { body } = await redeemCode(server, client, obtained, { resource: identifier });
      return claimsOf(body.access_token!).scope;
    };
    expect(await scopesFor(await server.client())).toBe('notes:read');
    expect(await scopesFor(await server.client({ scope: 'openid notes:read memory:read' }))).toBe('notes:read');
    expect(claimsOf((await asMachine(await machine(), identifier)).body.access_token!).scope).toBe('notes:read');
    const limited = await machine({ scope: 'notes:write' });
    expect(claimsOf((await asMachine(limited, identifier)).body.access_token!).scope).toBeUndefined();
    const rejected = await asMachine(limited, identifier, { scope: 'notes:read' });
    expect([rejected.body.error, rejected.body.access_token]).toEqual(['invalid_scope', undefined]);
  });

  it('does not grant admin to clients, even with consent', async () => {
    const { email } = await server.account();
    const resource = `${server.issuer}/api/v1`;
    const scope = 'openid memory:read admin';
    const { accessToken } = await openTokenFamily(server, await server.client(), email, { resource, scope });
    expect(claimsOf(accessToken).scope).toBe('memory:read');
    expect(claimsOf((await asMachine(await machine(), resource, { scope: 'admin' })).body.access_token!).scope).toBe(
      undefined,
    );
  });

  it('finds an API by any spelling of its URL', async () => {
    const identifier = `https://${randomUUID()}.example`;
    await newApi({ identifier });
    const { body } = await asMachine(await machine(), `${identifier}/`);
    expect(claimsOf(body.access_token!).aud).toBe(identifier);
    const twin = await asAdmin('POST', '/resources', { identifier: `${identifier}/`, name: 'Twin' });
    expect(twin.status).toBe(409);
  });

  it('rejects invalid fields', async () => {
    for (const [field, body] of [
      ['identifier', { identifier: '/notes' }],
      ['identifier', { identifier: 'https://notes.example/#a' }],
      ['identifier', { identifier: 'https://notes.example/a b' }],
      ['identifier', {}],
      ['name', { name: 'No\u202ees' }],
      ['scopes', { scopes: [{ name: 'notes read', description: 'Read.' }] }],
      ['scopes', { scopes: [{ name: 'openid', description: 'Who you are.' }] }],
      ['scopes', { scopes: [SCOPES[0], SCOPES[0]] }],
      ['scopes', { scopes: [{ name: 'notes:read', description: '' }] }],
      ['access_token_ttl', { access_token_ttl: '0s' }],
      ['access_token_ttl', { access_token_ttl: 'soon' }],
      ['access_token_ttl', { access_token_ttl: '366d' }],
      ['clients', { clients: [''] }],
      ['access_token_format', { access_token_format: 'paseto' }],
    ] as [string, object][]) {
      const identifier = 'identifier' in body || field === 'identifier' ? {} : { identifier: newIdentifier() };
      const { status, json } = await asAdmin('POST', '/resources', { name: 'Notes', ...identifier, ...body });
      expect([status, Object.keys(json.fields ?? {})], JSON.stringify(body)).toEqual([400, [field]]);
    }
  });

  it('registers an API once in 20 concurrent requests', async () => {
    const identifier = newIdentifier();
    const responses = await concurrently(20, () => asAdmin('POST', '/resources', { identifier, name: 'Notes' }));
    expect(responses.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
  });

  it('does not mix concurrent changes', async () => {
    const { id } = await newApi();
    const change = (n: number) =>
      asAdmin('PATCH', `/resources/${id}`, {
        scopes: [1, 2].map((m) => ({ name: `notes:${n}:${m}`, description: 'Read some notes.' })),
        clients: [`client-${n}`],
      });
    const responses = await Promise.all(Array.from({ length: 8 }, (_, n) => change(n)));
    expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const all = JSON.parse((await asAdmin('GET', '/resources')).text) as {
      id: string;
      scopes: { name: string }[];
      clients: string[];
    }[];
    const { scopes, clients } = all.find((one) => one.id === id)!;
    const n = clients[0]!.replace('client-', '');
    expect([clients.length, scopes.map(({ name }) => name)]).toEqual([1, [`notes:${n}:1`, `notes:${n}:2`]]);
  });

  it('rejects changes to built-in APIs and by other accounts, and audits changes', async () => {
    expect((await asAdmin('PATCH', '/resources/own', { name: 'Mine' })).status).toBe(409);
    expect((await asAdmin('DELETE', '/resources/own')).status).toBe(409);
    const { id, identifier } = await newApi();
    const { access_token: other } = await logIn(server, (await server.account()).email);
    for (const [method, path] of [
      ['GET', '/resources'],
      ['PATCH', `/resources/${id}`],
      ['DELETE', `/resources/${id}`],
    ] as const) {
      const { status, json } = await callApi(server, method, path, { token: other, body: {} });
      expect([status, json.error]).toEqual([403, 'insufficient_role']);
    }
    await asAdmin('PATCH', `/resources/${id}`, { unclaimed_agents: true });
    expect(server.core.resources.find(identifier)).toMatchObject({ openToUnclaimedAgents: true, name: 'Notes' });
    await asAdmin('DELETE', `/resources/${id}`);
    const events = (await server.core.audit.list({ actorKind: 'account', action: { startsWith: 'resource.' } })).filter(
      ({ detail }) => (detail as { resource: string }).resource === identifier,
    );
    expect(events.map(({ action }) => action)).toEqual(['resource.deleted', 'resource.updated', 'resource.created']);
  });
});

describe('the DEFAULT_RESOURCE', () => {
  const DEFAULT_RESOURCE = 'https://notes.example/default';
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ settings: { DEFAULT_RESOURCE } });
    const { email } = await createAccount(server, { role: 'admin' });
    const { access_token: admin } = await logIn(server, email);
    const scopes = [{ name: 'notes:read', description: 'Read your notes.' }];
    const body = { identifier: DEFAULT_RESOURCE, name: 'Notes', scopes };
    expect((await callApi(server, 'POST', '/resources', { token: admin, body })).status).toBe(201);
  });
  afterAll(() => server.close());

  const atUserinfo = async (accessToken: string) =>
    (await sendRequest(server, 'GET', '/oauth/userinfo', { authorization: `Bearer ${accessToken}` })).status;

  it('is the audience of requests for its scopes, also after a refresh', async () => {
    const client = await server.client();
    const { email } = await server.account();
    const family = await openTokenFamily(server, client, email, { scope: 'openid notes:read' });
    expect(claimsOf(family.accessToken)).toMatchObject({ aud: DEFAULT_RESOURCE, scope: 'notes:read' });
    expect(await atUserinfo(family.accessToken)).toBe(401);
    const { body } = await refresh(server, client, family.refreshToken);
    expect(claimsOf(body.access_token!).aud).toBe(DEFAULT_RESOURCE);
    const machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
    const response = await requestToken(server, machine, { grant_type: 'client_credentials', scope: 'notes:read' });
    expect(claimsOf(response.body.access_token!).aud).toBe(DEFAULT_RESOURCE);
  });

  it('is not the audience of requests for OpenID scopes only', async () => {
    const { email } = await server.account();
    const family = await openTokenFamily(server, await server.client(), email);
    expect(await atUserinfo(family.accessToken)).toBe(200);
  });
});
