// Open dynamic client registration, used by an attacker (RFC 7591, RFC 7592).

import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { registerDynamically } from '../../support/registration.js';
import { requestToken } from '../../support/relying-party.js';
import { sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily } from '../../support/token-family.js';

type Registered = Record<string, unknown> & {
  client_id: string;
  client_secret: string;
  registration_access_token: string;
};

const parse = (text: string) => (text.startsWith('{') ? JSON.parse(text) : {}) as Registered;

/** Registrations are counted by address: each comes from another one. */
const PROXY = { TRUSTED_PROXIES: '127.0.0.1' };
const someAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;

const GOOD = { client_name: 'App', redirect_uris: ['https://app.example/cb'] };

describe.each(stores)('registration on $name', (store) => {
  let server: TestServer;
  let houses: TestServer[];
  beforeAll(async () => {
    server = await startServer({ store, settings: PROXY });
    houses = [server];
  });
  afterAll(async () => {
    for (const one of houses.reverse()) await one.close();
  });

  async function register(metadata: object | string, at = server, headers: Record<string, string> = {}) {
    const response = await fetch(`${at.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': someAddress(), ...headers },
      body: typeof metadata === 'string' ? metadata : JSON.stringify(metadata),
    });
    return { status: response.status, body: parse(await response.text()) };
  }

  async function manage(method: string, client: Registered, body?: object, bearer?: string) {
    const response = await fetch(`${server.origin}/oauth/clients/register/${client.client_id}`, {
      method,
      headers: {
        authorization: `Bearer ${bearer ?? client.registration_access_token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
    });
    return { status: response.status, body: parse(await response.text()) };
  }

  it('registers a valid client', async () => {
    const { status, body } = await register({
      ...GOOD,
      scope: 'openid email',
      grant_types: ['authorization_code', 'refresh_token'],
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ ...GOOD, scope: 'openid email', client_id: expect.any(String) });
    expect(body.client_secret.length).toBeGreaterThanOrEqual(43);
  });

  it.each([
    'http://evil.example/cb',
    'http://localhost.evil.example/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://user@localhost/cb',
    'http://localhost@evil.example/cb',
    ' https://app.example/cb',
    'https://app.example/cb ',
    'https://app.example/cb\r\nLocation: https://evil.example',
    'https://app.example/\tcb',
    'https://app.example\\@evil.example/cb',
    'https://*.example/cb',
    'https://app.example/*',
    'https://app.example/cb#fragment',
    'https://app.example/cb#',
    'https://user:password@app.example/cb',
    'https://user@app.example/cb',
    'https://@app.example/cb',
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'blob:https://app.example/1',
    'file:///etc/passwd',
    'ftp://app.example/cb',
    'urn:ietf:wg:oauth:2.0:oob',
    'about:blank',
    '/cb',
    '//app.example/cb',
    'app.example/cb',
    '',
    `https://app.example/${'x'.repeat(2050)}`,
  ])('refuses the redirect URI %j', async (uri) => {
    const { status, body } = await register({ ...GOOD, redirect_uris: [uri] });
    expect([status, body.error], JSON.stringify(body)).toEqual([400, 'invalid_redirect_uri']);
    const hidden = await register({ ...GOOD, redirect_uris: [...GOOD.redirect_uris, uri] });
    expect(hidden.status).toBe(400);
    const after = await register({ ...GOOD, post_logout_redirect_uris: [uri] });
    expect(after.status).toBe(400);
  });

  it.each([
    'http://localhost/cb',
    'http://localhost:1234/cb',
    'http://127.0.0.1/cb',
    'http://[::1]/cb',
    'com.example.app:/cb',
  ])('takes the redirect URI %j', async (uri) => {
    for (const type of [{}, { application_type: 'native' }]) {
      const { status, body } = await register({ ...GOOD, redirect_uris: [uri], ...type });
      expect(status, JSON.stringify(body)).toBe(201);
    }
  });

  it.each<[string, object]>([
    ['500 redirect URIs', { redirect_uris: Array.from({ length: 500 }, (_, n) => `https://app.example/${n}`) }],
    ['21 redirect URIs', { redirect_uris: Array.from({ length: 21 }, (_, n) => `https://app.example/${n}`) }],
    ['a name of 50 KB', { client_name: 'x'.repeat(50_000) }],
    ['a name with control characters', { client_name: 'App\u0000' }],
    ['a name that turns the reading direction', { client_name: 'App\u202e' }],
    ['a name that is no text', { client_name: ['App'] }],
    ['no redirect URI', { redirect_uris: [] }],
    ['redirect URIs that are no list', { redirect_uris: 'https://app.example/cb' }],
    ['redirect URIs that are no texts', { redirect_uris: [{}] }],
    ['client credentials only', { grant_types: ['client_credentials'] }],
    ['the password grant', { grant_types: ['password'] }],
    ['the implicit grant', { grant_types: ['implicit'], response_types: ['token'] }],
    ['the implicit response', { response_types: ['token'] }],
    ['the hybrid response', { response_types: ['code id_token'] }],
    ['refresh tokens only', { grant_types: ['refresh_token'] }],
    ['grant types that are no list', { grant_types: 'authorization_code' }],
    ['a key set to fetch', { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://app.example/jwks' }],
    ['a key set in the private network', { jwks_uri: 'http://169.254.169.254/latest/meta-data' }],
    ['a URL to call at sign-out', { backchannel_logout_uri: 'https://app.example/logout' }],
    ['a sector identifier to fetch', { sector_identifier_uri: 'https://app.example/sector' }],
    ['a logo that is a script', { logo_uri: 'javascript:alert(1)' }],
    ['a policy over http', { policy_uri: 'http://app.example/policy' }],
    ['a home with a line break', { client_uri: 'https://app.example/\r\n' }],
    ['a hundred contacts', { contacts: Array(100).fill('a@example.com') }],
    ['a scope that does not exist', { scope: 'root' }],
    ['an HS256 ID token', { id_token_signed_response_alg: 'HS256' }],
    ['an unsigned ID token', { id_token_signed_response_alg: 'none' }],
    ['a JWT made with the secret', { token_endpoint_auth_method: 'client_secret_jwt' }],
    ['a method that does not exist', { token_endpoint_auth_method: 'self_signed_magic' }],
  ])('refuses %s', async (_name, metadata) => {
    const { status, body } = await register({ ...GOOD, ...metadata });
    expect(status, JSON.stringify(body)).toBe(400);
    expect(['invalid_client_metadata', 'invalid_redirect_uri']).toContain(body.error);
  });

  it('treats null as absent, at registration and in an update', async () => {
    const nulls = Object.fromEntries(
      [
        'application_type',
        'client_secret',
        'client_uri',
        'contacts',
        'grant_types',
        'jwks',
        'jwks_uri',
        'logo_uri',
        'post_logout_redirect_uris',
        'response_types',
        'scope',
        'software_id',
        'token_endpoint_auth_method',
      ].map((member) => [member, null]),
    );
    const { status, body } = await register({ ...GOOD, ...nulls });
    const usual = { grant_types: ['authorization_code'], token_endpoint_auth_method: 'client_secret_basic' };
    expect([status, body]).toMatchObject([201, { ...usual, client_secret: expect.any(String) }]);
    const changed = await manage('PUT', body, { client_id: body.client_id, ...GOOD, ...nulls });
    expect([changed.status, changed.body]).toMatchObject([200, usual]);
    expect((await register({ ...GOOD, redirect_uris: null })).body.error).toBe('invalid_redirect_uri');
    expect((await register({ ...GOOD, redirect_uris: [null] })).status).toBe(400);
  });

  it('drops grant types, scopes and members that a client cannot register', async () => {
    const { status, body } = await register({
      ...GOOD,
      grant_types: ['authorization_code', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      scope: 'openid root email',
      origin: 'admin',
      first_party: true,
      pkce_required: false,
      client_id: 'chosen',
      client_secret: 'chosen',
      organization_id: 'co_1',
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ grant_types: ['authorization_code'], scope: 'openid email' });
    expect(body.client_id).not.toBe('chosen');
    expect(body.client_secret).not.toBe('chosen');
    const row = await server.core.clients.find(body.client_id);
    expect(row).toMatchObject({ origin: 'registration', firstParty: false, pkceRequired: true, organizationId: null });
    expect(JSON.stringify(row)).not.toContain(body.client_secret);
    expect(JSON.stringify(row)).not.toContain(body.registration_access_token);
  });

  it('does not issue client credentials tokens to a self-registered client', async () => {
    for (const method of ['client_secret_basic', 'none']) {
      const { body } = await register({ ...GOOD, token_endpoint_auth_method: method });
      const client = { id: body.client_id, secret: body.client_secret };
      const answer = await requestToken(server, client, { grant_type: 'client_credentials', scope: 'agent:write' });
      expect([answer.status, answer.body.access_token]).toEqual([400, undefined]);
    }
  });

  it('does not issue client credentials tokens to a public client', async () => {
    const metadata = { redirect_uris: [], grant_types: ['client_credentials'], token_endpoint_auth_method: 'none' };
    await expect(server.client(metadata)).rejects.toMatchObject({ status: 400 });
  });

  it('limits the scopes of resources to those of the client', async () => {
    const resource = `${server.issuer}/api/v1`;
    const metadata = { redirect_uris: [], grant_types: ['client_credentials'], scope: 'memory:read' };
    const machine = await server.client(metadata);
    const params = { grant_type: 'client_credentials', resource };
    const wide = await requestToken(server, machine, { ...params, scope: 'memory:read agent:write' });
    expect([wide.body.error, wide.body.access_token]).toEqual(['invalid_scope', undefined]);
    const other = await requestToken(server, machine, { ...params, scope: 'agent:write' });
    expect([other.body.error, other.body.access_token]).toEqual(['invalid_scope', undefined]);
    const own = await requestToken(server, machine, { ...params, scope: 'memory:read' });
    expect(own.body.scope).toBe('memory:read');

    const app = await server.client({ scope: 'openid memory:read' });
    const { email } = await server.account();
    const scope = 'openid memory:read agent:write';
    await expect(openTokenFamily(server, app, email, { scope, resource })).rejects.toThrow(/no code/);
    const family = await openTokenFamily(server, app, email, { scope: 'openid memory:read', resource });
    const claims = JSON.parse(Buffer.from(family.accessToken.split('.')[1]!, 'base64url').toString());
    expect(claims).toMatchObject({ scope: 'memory:read', aud: resource });
  });

  it('lets a client request more scopes than it registered, of registered APIs only', async () => {
    const identifier = 'https://notes.example/mcp';
    const scopes = ['notes:read', 'notes:write'].map((name) => ({
      name,
      description: name,
      byDefault: true,
      capability: false,
    }));
    const access = { openToAllClients: true, clientIds: [], openToUnclaimedAgents: false };
    const tokens = { accessTokenFormat: 'opaque', accessTokenTtlSeconds: undefined } as const;
    const api = { identifier, name: 'Notes', scopes, ...tokens, ...access };
    await server.core.resourceRegistry.create(api, { kind: 'system' }, systemMeta);
    const { body } = await register({
      ...GOOD,
      redirect_uris: ['https://acme.example/cb'],
      scope: 'openid notes:read',
    });
    const client = { id: body.client_id, secret: body.client_secret };
    const { email } = await server.account();
    const more = await openTokenFamily(server, client, email, {
      scope: 'openid notes:read notes:write',
      resource: identifier,
    });
    expect((await introspect(server, client, more.accessToken)).body.scope).toBe('notes:read notes:write');
    await expect(
      openTokenFamily(server, client, email, { scope: 'openid memory:read', resource: `${server.issuer}/api/v1` }),
    ).rejects.toThrow(/^400 at/);
    await expect(openTokenFamily(server, client, email, { scope: 'openid email' })).rejects.toThrow(/^400 at/);
    const own = (await manage('GET', body)).body;
    expect(own.scope).toBe('openid notes:read');
    expect((await manage('PUT', body, { client_id: own.client_id, ...GOOD, scope: own.scope })).body.scope).toBe(
      'openid notes:read',
    );
  });

  it('allows browsers of every origin', async () => {
    for (const [path, method] of [
      ['/oauth/clients/register', 'POST'],
      ['/oauth/clients/register/some-client', 'PUT'],
    ]) {
      const preflight = await fetch(`${server.origin}${path}`, {
        method: 'OPTIONS',
        headers: { origin: 'https://app.example', 'access-control-request-method': method! },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get('access-control-allow-origin')).toBe('*');
      expect(preflight.headers.get('access-control-allow-methods')).toContain(method);
      expect(preflight.headers.get('access-control-allow-credentials')).toBeNull();
    }
  });

  it('lets browsers of every origin manage a client', async () => {
    const { id, managementToken } = await registerDynamically(server);
    const headers = { authorization: `Bearer ${managementToken}`, origin: 'https://app.example' };
    for (const method of ['GET', 'DELETE']) {
      const answer = await sendRequest(server, method, `/oauth/clients/register/${id}`, headers);
      expect(answer.status).toBeLessThan(300);
      expect(answer.headers['access-control-allow-origin']).toBe('*');
    }
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['half a document', '{"redirect_uris":'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number', '7'],
    ['__proto__', '{"redirect_uris":["https://app.example/cb"],"__proto__":{"first_party":true},"constructor":1}'],
  ])('never fails on %s', async (_name, text) => {
    const { status } = await register(text);
    expect(status).toBeGreaterThanOrEqual(200);
    expect(status).toBeLessThan(500);
  });

  it('returns a client without its secret, and only with its registration access token', async () => {
    const { body } = await register(GOOD);
    const own = await manage('GET', body);
    expect(own.status).toBe(200);
    expect(own.body.client_name).toBe('App');
    expect(own.body.client_secret).toBeUndefined();
    expect(JSON.stringify(own.body)).not.toContain('sha256:');
    const other = (await register(GOOD)).body;
    expect((await manage('GET', body, undefined, other.registration_access_token)).status).toBe(401);
    expect((await manage('DELETE', body, undefined, other.registration_access_token)).status).toBe(401);
    expect((await manage('GET', body, undefined, 'guess')).status).toBe(401);
    const { registrationTokenHash } = (await server.base.db.client.findUnique({ where: { id: body.client_id } }))!;
    expect((await manage('GET', body, undefined, registrationTokenHash!)).status).toBe(401);
  });

  it('updates a client with its secret or without one, and rejects a wrong secret or the hash', async () => {
    const { body } = await register(GOOD);
    const client = { id: body.client_id, secret: body.client_secret };
    const change = { client_id: body.client_id, ...GOOD, client_name: 'New name' };
    const right = await manage('PUT', body, { ...change, client_secret: body.client_secret });
    expect([right.status, right.body.client_name]).toEqual([200, 'New name']);
    expect(JSON.stringify(right.body)).not.toContain('sha256:');
    expect((await manage('PUT', body, change)).status).toBe(200);
    expect((await manage('PUT', body, { ...change, client_secret: 'wrong' })).status).toBe(400);
    const { secretHash } = (await server.base.db.client.findUnique({ where: { id: body.client_id } }))!;
    expect((await manage('PUT', body, { ...change, client_secret: secretHash })).status).toBe(400);
    expect((await manage('PUT', body, { ...change, first_party: true, pkce_required: false })).status).toBe(200);
    expect(await server.core.clients.find(body.client_id)).toMatchObject({ firstParty: false, pkceRequired: true });
    // The secret is unchanged.
    const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: 'https://app.example/cb' };
    expect((await requestToken(server, client, params)).body.error).toBe('invalid_grant');
    expect((await requestToken(server, { ...client, secret: secretHash! }, params)).body.error).toBe('invalid_client');
    expect((await requestToken(server, { ...client, secret: 'wrong' }, params)).body.error).toBe('invalid_client');
  });

  it('applies the rules of registration to updates', async () => {
    const { body } = await register(GOOD);
    const change = { client_id: body.client_id, ...GOOD };
    for (const worse of [
      { redirect_uris: ['http://evil.example/cb'] },
      { jwks_uri: 'https://evil.example/jwks' },
      { backchannel_logout_uri: 'https://evil.example/out' },
      { grant_types: ['client_credentials'] },
    ]) {
      expect((await manage('PUT', body, { ...change, ...worse })).status, JSON.stringify(worse)).toBe(400);
    }
    expect((await manage('GET', body)).body.redirect_uris).toEqual(GOOD.redirect_uris);
  });

  it('deletes a client with its tokens and consents', async () => {
    const { body } = await register({ ...GOOD, redirect_uris: ['https://acme.example/cb'] });
    const client = { id: body.client_id, secret: body.client_secret };
    const { email, id } = await server.account();
    await openTokenFamily(server, client, email);
    expect((await manage('DELETE', body)).status).toBe(204);
    expect((await manage('GET', body)).status).toBe(401);
    expect(await server.core.oauthStorage.grants.list(id)).toEqual([]);
    expect((await requestToken(server, client, { grant_type: 'refresh_token', refresh_token: 'x' })).body.error).toBe(
      'invalid_client',
    );
  });

  it('limits a network to 60 registrations an hour', async () => {
    const from = { 'x-forwarded-for': '192.0.2.61' };
    for (let n = 0; n < 60; n += 1) expect((await register(GOOD, server, from)).status).toBe(201);
    const { status, body } = await register(GOOD, server, from);
    expect([status, body.error]).toEqual([429, 'rate_limited']);
    expect((await register(GOOD)).status).toBe(201);
  });

  it('requires the configured token, or is disabled', async () => {
    const REGISTRATION_TOKEN = 'a-registration-token-of-enough-characters';
    const guarded = await startServer({
      sharedWith: server,
      settings: { ...PROXY, REGISTRATION: 'token', REGISTRATION_TOKEN },
    });
    const closed = await startServer({ sharedWith: server, settings: { ...PROXY, REGISTRATION: 'closed' } });
    houses.push(guarded, closed);
    expect((await register(GOOD, guarded)).status).toBe(401);
    expect((await register(GOOD, guarded, { authorization: 'Bearer wrong' })).status).toBe(401);
    const vouched = { ...GOOD, backchannel_logout_uri: 'https://app.example/logout' };
    const bearer = { authorization: `Bearer ${REGISTRATION_TOKEN}` };
    const welcome = await register(vouched, guarded, bearer);
    expect(welcome.status, JSON.stringify(welcome.body)).toBe(201);
    expect((await register(GOOD, closed)).status).toBe(404);
  });

  it('allows only redirect URIs of the configured hosts', async () => {
    const listed = await startServer({
      sharedWith: server,
      settings: { ...PROXY, REDIRECT_HOSTS: 'app.example, *.good.example' },
    });
    houses.push(listed);
    const at = async (uri: string) => (await register({ ...GOOD, redirect_uris: [uri] }, listed)).status;
    expect(await at('https://app.example/cb')).toBe(201);
    expect(await at('https://a.good.example/cb')).toBe(201);
    expect(await at('http://localhost:1/cb')).toBe(201);
    for (const uri of ['https://evilgood.example/cb', 'https://app.example.evil.example/cb', 'com.example.app:/cb']) {
      expect(await at(uri), uri).toBe(400);
    }
  });
});
