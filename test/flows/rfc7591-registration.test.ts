import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, signIn } from '../support/openid-client.js';
import { REDIRECT_URI } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

type Metadata = Partial<oidc.ClientMetadata>;

describe.each(stores)('an app that registers itself, with the house on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  const register = (metadata: Metadata = {}) =>
    oidc.dynamicClientRegistration(
      new URL(server.issuer),
      { client_name: 'Newcomer', redirect_uris: [REDIRECT_URI], ...metadata },
      undefined,
      { execute: [oidc.allowInsecureRequests] },
    );

  /** RFC 7592: what the app does with its own record. */
  async function manage(metadata: Metadata, method: string, body?: object, token = metadata.registration_access_token) {
    const response = await fetch(metadata.registration_client_uri as string, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : undefined };
  }

  it('is answered with its credentials and with what it asked for, and can sign people in', async () => {
    const { email } = await server.account();
    const config = await register({ grant_types: ['authorization_code'], scope: 'openid profile email' });
    expect(config.clientMetadata()).toMatchObject({
      client_id: expect.any(String),
      client_secret: expect.any(String),
      client_name: 'Newcomer',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code'],
      scope: 'openid profile email',
      token_endpoint_auth_method: 'client_secret_basic',
    });
    const tokens = await signIn(config, browserFor(server), email);
    expect(tokens.claims()).toMatchObject({ email });
  });

  it('may be public: then it has no secret', async () => {
    const { email } = await server.account();
    const config = await register({ token_endpoint_auth_method: 'none' });
    expect(config.clientMetadata()).not.toHaveProperty('client_secret');
    expect((await signIn(config, browserFor(server), email)).claims()).toMatchObject({ email });
  });

  it('gets no more than strangers may have', async () => {
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
    for (const own of ['first_party', 'origin', 'pkce_required']) expect(metadata).not.toHaveProperty(own);
    expect(await server.core.clients.find(metadata.client_id)).toMatchObject({
      origin: 'registration',
      firstParty: false,
      pkceRequired: true,
    });
  });

  it.each([
    ['plain http', ['http://acme.example/cb']],
    ['a script', ['javascript:alert(1)']],
    ['a fragment', ['https://acme.example/cb#here']],
    ['a wildcard', ['https://*.acme.example/cb']],
    ['nothing', []],
  ])('may not redirect to %s', async (_, redirect_uris) => {
    await expect(register({ redirect_uris })).rejects.toMatchObject({ status: 400, error: 'invalid_redirect_uri' });
  });

  it('reads, changes and deletes its own record (RFC 7592)', async () => {
    const metadata = (await register()).clientMetadata();
    const { client_id: id, client_secret: secret } = metadata;
    expect(metadata.registration_client_uri).toBe(`${server.issuer}/oauth/clients/register/${id}`);

    const read = await manage(metadata, 'GET');
    expect(read).toMatchObject({ status: 200, body: { client_id: id, client_name: 'Newcomer' } });
    expect(JSON.stringify(read.body)).not.toContain('sha256:');

    const changed = { client_id: id, client_secret: secret, client_name: 'Renamed', redirect_uris: [REDIRECT_URI] };
    expect(await manage(metadata, 'PUT', changed)).toMatchObject({ status: 200, body: { client_name: 'Renamed' } });
    expect((await manage(metadata, 'GET')).body.client_name).toBe('Renamed');

    // It goes on with the secret that it was given.
    const config = new oidc.Configuration(await metadataOf(server), id, secret);
    oidc.allowInsecureRequests(config);
    const { email } = await server.account();
    expect((await signIn(config, browserFor(server), email)).claims()).toMatchObject({ email });

    expect(await manage(metadata, 'DELETE')).toEqual({ status: 204, body: undefined });
    expect((await manage(metadata, 'GET')).status).toBe(401);
    await expect(oidc.tokenIntrospection(config, 'x')).rejects.toMatchObject({ status: 401 });
  });

  it('takes its tokens along when it is deleted', async () => {
    const config = await register({ grant_types: ['authorization_code', 'refresh_token'] });
    const { email, id } = await server.account();
    const tokens = await signIn(config, browserFor(server), email);
    await manage(config.clientMetadata(), 'DELETE');
    await expect(oidc.fetchUserInfo(config, tokens.access_token, id)).rejects.toMatchObject({ status: 401 });
  });

  it('may not touch the record of another', async () => {
    const [own, other] = [(await register()).clientMetadata(), (await register()).clientMetadata()];
    const body = { client_id: other.client_id, client_name: 'Mine', redirect_uris: ['https://evil.example/cb'] };
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await manage(other, method, method === 'PUT' ? body : undefined, own.registration_access_token);
      expect(answer.status, method).toBe(401);
    }
    expect((await manage(other, 'GET')).body).toMatchObject({ client_name: 'Newcomer', redirect_uris: [REDIRECT_URI] });
  });

  it('may not give itself by a change what it could not register with', async () => {
    const metadata = (await register()).clientMetadata();
    const answer = await manage(metadata, 'PUT', {
      client_id: metadata.client_id,
      client_secret: metadata.client_secret,
      redirect_uris: ['http://acme.example/cb'],
    });
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_redirect_uri' } });
  });
});

describe('where registration needs a token', () => {
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

  it('only who has it can register', async () => {
    await expect(register()).rejects.toMatchObject({ status: 401 });
    await expect(register('another-registration-token-of-enough-letters')).rejects.toMatchObject({ status: 401 });
    expect((await register(TOKEN)).clientMetadata().client_id).toEqual(expect.any(String));
  });
});

async function metadataOf(server: TestServer): Promise<oidc.ServerMetadata> {
  const response = await fetch(`${server.issuer}/.well-known/openid-configuration`);
  return (await response.json()) as oidc.ServerMetadata;
}
