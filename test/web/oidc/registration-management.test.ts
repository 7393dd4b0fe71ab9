// The client configuration endpoint (RFC 7592).

import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { registerDynamically, requestRegistration } from '../../support/registration.js';
import { REDIRECT_URI, requestToken } from '../../support/relying-party.js';
import { sendJson, sendRequest } from '../../support/request.js';
import { createResource } from '../../support/resources.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';
import { openTokenFamily } from '../../support/token-family.js';

type Registered = Awaited<ReturnType<typeof registerDynamically>>;

/** Members that a client can send as null. */
const NULL_MEMBERS = Object.fromEntries(
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

describe.each(stores)('the client configuration endpoint on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { TRUSTED_PROXIES: '127.0.0.1' } });
  });
  afterAll(() => server.close());

  /** Registers from another address each time, because registrations are limited by network. */
  const register = (metadata: object = {}) =>
    registerDynamically(server, metadata, { 'x-forwarded-for': `10.${randomInt(256)}.${randomInt(256)}.1` });

  const send = (method: string, client: Registered, body?: object, token = client.managementToken) =>
    sendJson(server, method, `/oauth/clients/register/${client.id}`, { token, ...(body && { body }) });

  /** The members that an update must contain, because it replaces all metadata. */
  const currentMetadata = ({ id }: Registered) => ({ client_id: id, redirect_uris: [REDIRECT_URI] });

  it('returns the client without its secret, and only with its registration access token', async () => {
    const client = await register();
    const { status, json, text } = await send('GET', client);
    expect([status, json.client_name, json.client_secret]).toEqual([200, 'Test app', undefined]);
    expect(text).not.toContain('sha256:');
    const { managementToken: otherToken } = await register();
    expect((await send('GET', client, undefined, otherToken)).status).toBe(401);
    expect((await send('DELETE', client, undefined, otherToken)).status).toBe(401);
    expect((await send('GET', client, undefined, 'guess')).status).toBe(401);
  });

  it('does not accept the stored hash of the registration access token', async () => {
    const client = await register();
    const { registrationTokenHash } = (await server.core.clients.find(client.id))!;
    expect((await send('GET', client, undefined, registrationTokenHash!)).status).toBe(401);
  });

  it('updates the client with its secret or without one, which leaves the secret unchanged', async () => {
    const client = await register();
    const change = { ...currentMetadata(client), client_name: 'New name' };
    const updated = await send('PUT', client, { ...change, client_secret: client.secret });
    expect([updated.status, updated.json.client_name]).toEqual([200, 'New name']);
    expect(updated.text).not.toContain('sha256:');
    expect((await send('PUT', client, change)).status).toBe(200);
    const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI };
    expect((await requestToken(server, client, params)).body.error).toBe('invalid_grant');
    expect((await requestToken(server, { ...client, secret: 'wrong' }, params)).body.error).toBe('invalid_client');
  });

  it('rejects an update with a wrong secret or with the stored hash of the secret', async () => {
    const client = await register();
    const { secretHash } = (await server.core.clients.find(client.id))!;
    for (const secret of ['wrong', secretHash!]) {
      const change = { ...currentMetadata(client), client_secret: secret };
      expect((await send('PUT', client, change)).status).toBe(400);
      const params = { grant_type: 'authorization_code', code: 'x', redirect_uri: REDIRECT_URI };
      expect((await requestToken(server, { ...client, secret }, params)).body.error).toBe('invalid_client');
    }
  });

  it('ignores members that only an administrator can set', async () => {
    const client = await register();
    const change = { ...currentMetadata(client), first_party: true, pkce_required: false };
    expect((await send('PUT', client, change)).status).toBe(200);
    expect(await server.core.clients.find(client.id)).toMatchObject({ firstParty: false, pkceRequired: true });
  });

  it('applies the rules of registration to updates', async () => {
    const client = await register();
    for (const invalid of [
      { redirect_uris: ['http://evil.example/cb'] },
      { jwks_uri: 'https://evil.example/jwks' },
      { backchannel_logout_uri: 'https://evil.example/logout' },
      { grant_types: ['client_credentials'] },
    ]) {
      const { status } = await send('PUT', client, { ...currentMetadata(client), ...invalid });
      expect(status, JSON.stringify(invalid)).toBe(400);
    }
    expect((await send('GET', client)).json.redirect_uris).toEqual([REDIRECT_URI]);
  });

  it('treats null as absent, at registration and in an update', async () => {
    const defaults = { grant_types: ['authorization_code'], token_endpoint_auth_method: 'client_secret_basic' };
    const client = await register(NULL_MEMBERS);
    expect(client.metadata).toMatchObject({ ...defaults, client_secret: expect.any(String) });
    const updated = await send('PUT', client, { ...currentMetadata(client), ...NULL_MEMBERS });
    expect([updated.status, updated.json]).toMatchObject([200, defaults]);
    const withoutRedirect = await requestRegistration(server, { redirect_uris: null });
    expect(withoutRedirect.json.error).toBe('invalid_redirect_uri');
    expect((await requestRegistration(server, { redirect_uris: [null] })).status).toBe(400);
  });

  it('keeps the registered scope, although the client can request more', async () => {
    const api = `https://notes.example/${randomInt(1_000_000)}`;
    await createResource(server, api, { scopes: [{ name: 'notes:read' }, { name: 'notes:write' }] });
    const client = await register({ scope: 'openid notes:read' });
    const { scope } = (await send('GET', client)).json;
    expect(scope).toBe('openid notes:read');
    expect((await send('PUT', client, { ...currentMetadata(client), scope })).json.scope).toBe('openid notes:read');
  });

  it('deletes the client with its tokens and consents', async () => {
    const client = await register();
    const { email, id } = await server.account();
    await openTokenFamily(server, client, email);
    expect((await send('DELETE', client)).status).toBe(204);
    expect((await send('GET', client)).status).toBe(401);
    expect(await server.core.oauthStorage.grants.list(id)).toEqual([]);
    const params = { grant_type: 'refresh_token', refresh_token: 'x' };
    expect((await requestToken(server, client, params)).body.error).toBe('invalid_client');
  });

  it('allows cross-origin requests', async () => {
    const client = await register();
    const headers = { authorization: `Bearer ${client.managementToken}`, origin: 'https://app.example' };
    for (const method of ['GET', 'DELETE']) {
      const response = await sendRequest(server, method, `/oauth/clients/register/${client.id}`, headers);
      expect(response.status).toBeLessThan(300);
      expect(response.headers['access-control-allow-origin']).toBe('*');
    }
  });
});
