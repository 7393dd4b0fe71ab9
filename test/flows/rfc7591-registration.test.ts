// Dynamic client registration and its management (RFC 7591, RFC 7592), by openid-client.
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, signIn } from '../support/openid-client.js';
import { REDIRECT_URI } from '../support/relying-party.js';
import { sendJson, sendRequest } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

type Metadata = Partial<oidc.ClientMetadata>;

describe.each(stores)('dynamic client registration, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const register = (metadata: Metadata = {}) =>
    oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { client_name: 'New app', redirect_uris: [REDIRECT_URI], ...metadata },
      undefined,
      { execute: [oidc.allowInsecureRequests] },
    );

  /** Sends a request to the client configuration endpoint (RFC 7592). */
  function manage(
    { registration_client_uri: uri, registration_access_token: ownToken }: Metadata,
    method: string,
    body?: object,
    token = ownToken,
  ) {
    return sendJson(server, method, new URL(String(uri)).pathname, { body, token: String(token) });
  }

  it('returns the credentials and metadata of a client that can sign users in', async () => {
    const { email } = await server.account();
    const config = await register({ grant_types: ['authorization_code'], scope: 'openid profile email' });
    expect(config.clientMetadata()).toMatchObject({
      client_id: expect.any(String),
      client_secret: expect.any(String),
      client_name: 'New app',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code'],
      scope: 'openid profile email',
      token_endpoint_auth_method: 'client_secret_basic',
    });
    const tokens = await signIn(config, browserFor(server), email);
    expect(tokens.claims()).toMatchObject({ email });
  });

  it('returns no secret to a public client', async () => {
    const { email } = await server.account();
    const config = await register({ token_endpoint_auth_method: 'none' });
    expect(config.clientMetadata()).not.toHaveProperty('client_secret');
    expect((await signIn(config, browserFor(server), email)).claims()).toMatchObject({ email });
  });

  it('ignores grant types, scopes and settings that only administrators can choose', async () => {
    const config = await register({
      grant_types: ['authorization_code', 'client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      scope: 'openid email root',
      first_party: true,
      origin: 'admin',
      pkce_required: false,
    });
    const metadata = config.clientMetadata();
    expect(metadata.grant_types).toEqual(['authorization_code']);
    expect(metadata.scope).toBe('openid email');
    for (const setting of ['first_party', 'origin', 'pkce_required']) expect(metadata).not.toHaveProperty(setting);
    expect(await server.core.clients.find(metadata.client_id)).toMatchObject({
      origin: 'registration',
      firstParty: false,
      pkceRequired: true,
    });
  });

  it.each([
    ['http', ['http://acme.example/cb']],
    ['the scheme javascript', ['javascript:alert(1)']],
    ['a fragment', ['https://acme.example/cb#here']],
    ['a wildcard', ['https://*.acme.example/cb']],
    ['no value', []],
  ])('rejects a redirect URI with %s', async (_, redirect_uris) => {
    await expect(register({ redirect_uris })).rejects.toMatchObject({ status: 400, error: 'invalid_redirect_uri' });
  });

  it('lets a client read, change and delete its registration (RFC 7592)', async () => {
    const metadata = (await register()).clientMetadata();
    const { client_id: id, client_secret: secret } = metadata;
    expect(metadata.registration_client_uri).toBe(`${server.issuer}/oauth/clients/register/${id}`);

    const read = await manage(metadata, 'GET');
    expect(read).toMatchObject({ status: 200, json: { client_id: id, client_name: 'New app' } });
    expect(read.text).not.toContain('sha256:');

    const changed = { client_id: id, client_secret: secret, client_name: 'Renamed', redirect_uris: [REDIRECT_URI] };
    expect(await manage(metadata, 'PUT', changed)).toMatchObject({ status: 200, json: { client_name: 'Renamed' } });
    expect((await manage(metadata, 'GET')).json.client_name).toBe('Renamed');

    // The secret stays valid.
    const config = new oidc.Configuration(await fetchMetadata(server), id, secret);
    oidc.allowInsecureRequests(config);
    const { email } = await server.account();
    expect((await signIn(config, browserFor(server), email)).claims()).toMatchObject({ email });

    expect(await manage(metadata, 'DELETE')).toMatchObject({ status: 204, text: '' });
    expect((await manage(metadata, 'GET')).status).toBe(401);
    await expect(oidc.tokenIntrospection(config, 'x')).rejects.toMatchObject({ status: 401 });
  });

  it('revokes the tokens of a deleted client', async () => {
    const config = await register({ grant_types: ['authorization_code', 'refresh_token'] });
    const { email, id } = await server.account();
    const tokens = await signIn(config, browserFor(server), email);
    await manage(config.clientMetadata(), 'DELETE');
    await expect(oidc.fetchUserInfo(config, tokens.access_token, id)).rejects.toMatchObject({ status: 401 });
  });

  it('rejects the registration access token of another client', async () => {
    const [own, other] = [(await register()).clientMetadata(), (await register()).clientMetadata()];
    const body = { client_id: other.client_id, client_name: 'Mine', redirect_uris: ['https://evil.example/cb'] };
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const response = await manage(other, method, method === 'PUT' ? body : undefined, own.registration_access_token);
      expect(response.status, method).toBe(401);
    }
    expect((await manage(other, 'GET')).json).toMatchObject({ client_name: 'New app', redirect_uris: [REDIRECT_URI] });
  });

  it('validates changed metadata like new metadata', async () => {
    const metadata = (await register()).clientMetadata();
    const response = await manage(metadata, 'PUT', {
      client_id: metadata.client_id,
      client_secret: metadata.client_secret,
      redirect_uris: ['http://acme.example/cb'],
    });
    expect(response).toMatchObject({ status: 400, json: { error: 'invalid_redirect_uri' } });
  });
});

describe('registration with REGISTRATION=token', () => {
  let server: TestServer;
  const TOKEN = 'a-registration-token-of-enough-letters';
  beforeAll(async () => {
    server = await startServer({ settings: { REGISTRATION: 'token', REGISTRATION_TOKEN: TOKEN } });
  });
  afterAll(() => server.close());

  const register = (initialAccessToken?: string) =>
    oidc.dynamicClientRegistration(new URL(server.issuer), { redirect_uris: [REDIRECT_URI] }, undefined, {
      execute: [oidc.allowInsecureRequests],
      initialAccessToken,
    });

  it('accepts only requests with the initial access token', async () => {
    await expect(register()).rejects.toMatchObject({ status: 401 });
    await expect(register('another-registration-token-of-enough-letters')).rejects.toMatchObject({ status: 401 });
    expect((await register(TOKEN)).clientMetadata().client_id).toEqual(expect.any(String));
  });
});

async function fetchMetadata(server: TestServer): Promise<oidc.ServerMetadata> {
  const { json } = await sendRequest(server, 'GET', '/.well-known/openid-configuration');
  return json as unknown as oidc.ServerMetadata;
}
