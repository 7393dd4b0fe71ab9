// Dynamic client registration (RFC 7591). core/clients/metadata.test.ts covers the rules of the
// metadata, and registration-management.test.ts the client configuration endpoint.

import { randomInt } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerDynamically, requestRegistration } from '../../support/registration.js';
import { REDIRECT_URI, requestToken } from '../../support/relying-party.js';
import { sendRequest } from '../../support/request.js';
import { createResource } from '../../support/resources.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily } from '../../support/token-family.js';

const BEHIND_PROXY = { TRUSTED_PROXIES: '127.0.0.1' };
/** Returns the header of another client address, because registrations are limited by network. */
const fromNewAddress = () => ({ 'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}` });

describe.each(stores)('client registration on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: BEHIND_PROXY });
  });
  afterAll(() => server.close());

  const register = (metadata: object, headers: Record<string, string> = {}, at = server) =>
    requestRegistration(at, metadata, { ...fromNewAddress(), ...headers });

  it('registers a valid client', async () => {
    const metadata = { scope: 'openid email', grant_types: ['authorization_code', 'refresh_token'] };
    const { status, json } = await register(metadata);
    expect(status).toBe(201);
    expect(json).toMatchObject({ ...metadata, client_name: 'Test app', client_id: expect.any(String) });
    expect(String(json.client_secret).length).toBeGreaterThanOrEqual(43);
  });

  it.each(['redirect_uris', 'post_logout_redirect_uris'])('rejects an unsafe URI in %s', async (member) => {
    const { status, json } = await register({ [member]: ['https://app.example/cb', 'javascript:alert(1)'] });
    expect([status, json.error]).toEqual([400, 'invalid_redirect_uri']);
  });

  it.each(['http://localhost:1234/cb', 'http://127.0.0.1/cb', 'http://[::1]/cb', 'com.example.app:/cb'])(
    'accepts the redirect URI %s for any application type',
    async (uri) => {
      for (const type of [{}, { application_type: 'native' }]) {
        const { status, text } = await register({ redirect_uris: [uri], ...type });
        expect(status, text).toBe(201);
      }
    },
  );

  it.each<[string, object]>([
    ['a name of 50 KB', { client_name: 'x'.repeat(50_000) }],
    ['no redirect URI', { redirect_uris: [] }],
    ['only the client credentials grant', { grant_types: ['client_credentials'] }],
    ['the implicit response type', { response_types: ['token'] }],
    ['the hybrid response type', { response_types: ['code id_token'] }],
    ['a jwks_uri', { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://app.example/jwks' }],
    ['an unknown scope only', { scope: 'root' }],
    ['an HS256 ID token', { id_token_signed_response_alg: 'HS256' }],
    ['an unsigned ID token', { id_token_signed_response_alg: 'none' }],
    ['authentication by client_secret_jwt', { token_endpoint_auth_method: 'client_secret_jwt' }],
    ['an unknown authentication method', { token_endpoint_auth_method: 'unknown' }],
  ])('rejects %s', async (_case, metadata) => {
    const { status, json, text } = await register(metadata);
    expect(status, text).toBe(400);
    expect(['invalid_client_metadata', 'invalid_redirect_uri']).toContain(json.error);
  });

  it('drops grant types, scopes and members that a client cannot register', async () => {
    const { status, json } = await register({
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
    expect(json).toMatchObject({ grant_types: ['authorization_code'], scope: 'openid email' });
    expect(json.client_id).not.toBe('chosen');
    expect(json.client_secret).not.toBe('chosen');
    const stored = await server.core.clients.find(String(json.client_id));
    expect(stored).toMatchObject({
      origin: 'registration',
      firstParty: false,
      pkceRequired: true,
      organizationId: null,
    });
    expect(JSON.stringify(stored)).not.toContain(json.client_secret);
    expect(JSON.stringify(stored)).not.toContain(json.registration_access_token);
  });

  it.each<[string, string]>([
    ['an empty body', ''],
    ['incomplete JSON', '{"redirect_uris":'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a number', '7'],
    ['__proto__', '{"redirect_uris":["https://app.example/cb"],"__proto__":{"first_party":true},"constructor":1}'],
  ])('does not fail with a server error for %s', async (_case, body) => {
    const headers = { 'content-type': 'application/json', ...fromNewAddress() };
    const { status } = await sendRequest(server, 'POST', '/oauth/clients/register', headers, body);
    expect(status).toBeLessThan(500);
  });

  it.each([
    ['/oauth/clients/register', 'POST'],
    ['/oauth/clients/register/some-client', 'PUT'],
  ])('allows cross-origin requests without credentials at %s', async (path, method) => {
    const preflight = { origin: 'https://app.example', 'access-control-request-method': method };
    const { status, headers } = await sendRequest(server, 'OPTIONS', path, preflight);
    expect(status).toBe(204);
    expect(headers['access-control-allow-origin']).toBe('*');
    expect(headers['access-control-allow-methods']).toContain(method);
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });

  it('limits a network to 60 registrations an hour', async () => {
    const address = { 'x-forwarded-for': '192.0.2.61' };
    for (let n = 0; n < 60; n += 1) expect((await register({}, address)).status).toBe(201);
    const { status, json } = await register({}, address);
    expect([status, json.error]).toEqual([429, 'rate_limited']);
    expect((await register({})).status).toBe(201);
  });

  it('requires the initial access token if REGISTRATION is token', async () => {
    const REGISTRATION_TOKEN = 'a-registration-token-of-enough-characters';
    const settings = { ...BEHIND_PROXY, REGISTRATION: 'token', REGISTRATION_TOKEN };
    const guarded = await startServer({ sharedWith: server, settings });
    expect((await register({}, {}, guarded)).status).toBe(401);
    expect((await register({}, { authorization: 'Bearer wrong' }, guarded)).status).toBe(401);
    const metadata = { backchannel_logout_uri: 'https://app.example/logout' };
    const { status, text } = await register(metadata, { authorization: `Bearer ${REGISTRATION_TOKEN}` }, guarded);
    expect(status, text).toBe(201);
    await guarded.close();
  });

  it('is disabled if REGISTRATION is closed', async () => {
    const closed = await startServer({ sharedWith: server, settings: { ...BEHIND_PROXY, REGISTRATION: 'closed' } });
    expect((await register({}, {}, closed)).status).toBe(404);
    await closed.close();
  });

  it('allows only redirect URIs with the hosts in REDIRECT_HOSTS', async () => {
    const settings = { ...BEHIND_PROXY, REDIRECT_HOSTS: 'app.example, *.good.example' };
    const restricted = await startServer({ sharedWith: server, settings });
    const statusFor = async (uri: string) => (await register({ redirect_uris: [uri] }, {}, restricted)).status;
    for (const uri of ['https://app.example/cb', 'https://a.good.example/cb', 'http://localhost:1/cb'])
      expect(await statusFor(uri), uri).toBe(201);
    for (const uri of ['https://evilgood.example/cb', 'https://app.example.evil.example/cb', 'com.example.app:/cb'])
      expect(await statusFor(uri), uri).toBe(400);
    await restricted.close();
  });

  describe('the scopes of a client', () => {
    it('are not available by client credentials to a self-registered client', async () => {
      for (const method of ['client_secret_basic', 'none']) {
        const client = await registerDynamically(server, { token_endpoint_auth_method: method }, fromNewAddress());
        const params = { grant_type: 'client_credentials', scope: 'agent:write' };
        const { status, body } = await requestToken(server, client, params);
        expect([status, body.access_token]).toEqual([400, undefined]);
      }
    });

    it('are not available by client credentials to a public client', async () => {
      const metadata = { redirect_uris: [], grant_types: ['client_credentials'], token_endpoint_auth_method: 'none' };
      await expect(server.client(metadata)).rejects.toMatchObject({ status: 400 });
    });

    it('limit the client credentials tokens of a client created by an administrator', async () => {
      const resource = `${server.issuer}/api/v1`;
      const metadata = { redirect_uris: [], grant_types: ['client_credentials'], scope: 'memory:read' };
      const machine = await server.client(metadata);
      const params = { grant_type: 'client_credentials', resource };
      for (const scope of ['memory:read agent:write', 'agent:write']) {
        const { body } = await requestToken(server, machine, { ...params, scope });
        expect([body.error, body.access_token]).toEqual(['invalid_scope', undefined]);
      }
      const own = await requestToken(server, machine, { ...params, scope: 'memory:read' });
      expect(own.body.scope).toBe('memory:read');
    });

    it('limit the authorizations of a client created by an administrator', async () => {
      const resource = `${server.issuer}/api/v1`;
      const app = await server.client({ scope: 'openid memory:read' });
      const { email } = await server.account();
      const scope = 'openid memory:read agent:write';
      await expect(openTokenFamily(server, app, email, { scope, resource })).rejects.toThrow(/no code/);
      const family = await openTokenFamily(server, app, email, { scope: 'openid memory:read', resource });
      expect(decodeJwt(family.accessToken)).toMatchObject({ scope: 'memory:read', aud: resource });
    });

    it('do not limit the scopes of registered APIs that a self-registered client can request', async () => {
      const resource = 'https://notes.example/mcp';
      await createResource(server, resource, { scopes: [{ name: 'notes:read' }, { name: 'notes:write' }] });
      const metadata = { redirect_uris: [REDIRECT_URI], scope: 'openid notes:read' };
      const client = await registerDynamically(server, metadata, fromNewAddress());
      const { email } = await server.account();
      const wide = await openTokenFamily(server, client, email, { scope: 'openid notes:read notes:write', resource });
      expect((await introspect(server, client, wide.accessToken)).body.scope).toBe('notes:read notes:write');
      const ownApi = { scope: 'openid memory:read', resource: `${server.issuer}/api/v1` };
      await expect(openTokenFamily(server, client, email, ownApi)).rejects.toThrow(/^400 at/);
      await expect(openTokenFamily(server, client, email, { scope: 'openid email' })).rejects.toThrow(/^400 at/);
    });
  });
});
