import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, openHttpServer } from '../support/http-server.js';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };
const BY_JWT = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

describe.each(stores)('how an app proves who it is, with the house on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it.each([
    ['client_secret_basic', oidc.ClientSecretBasic],
    ['client_secret_post', oidc.ClientSecretPost],
  ])('by its secret (%s)', async (method, authentication) => {
    const { email } = await server.account();
    const client = await server.client({ token_endpoint_auth_method: method });
    const config = await discover(server, client, authentication(client.secret));
    const tokens = await signIn(config, browserFor(server), email);
    expect(tokens.claims()).toMatchObject({ email });
    const impostor = await discover(server, client, authentication('wrong'));
    await expect(oidc.refreshTokenGrant(impostor, tokens.refresh_token!)).rejects.toMatchObject({ status: 401 });
  });

  it('and not at all by its name alone, once it has a secret', async () => {
    const client = await server.client(MACHINE);
    const config = await discover(server, client, oidc.None());
    await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ status: 401, error: 'invalid_client' });
  });

  describe.each(['RS256', 'ES256', 'PS256', 'Ed25519'])('by a key of its own, %s (private_key_jwt)', (alg) => {
    let pair: Awaited<ReturnType<typeof generateKeyPair>>;
    let jwks: { keys: object[] };
    let keyServer: HttpServer;
    beforeAll(async () => {
      pair = await generateKeyPair(alg);
      jwks = { keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', use: 'sig' }] };
      keyServer = await openHttpServer((_req, res) =>
        res.setHeader('content-type', 'application/json').end(JSON.stringify(jwks)),
      );
    });
    afterAll(() => keyServer.close());

    const byKey = (members: object) =>
      server.client({ ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', ...members });

    it('that it registered', async () => {
      const client = await byKey({ jwks });
      expect(client.secret).toBe('');
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' }));
      expect((await oidc.clientCredentialsGrant(config)).access_token).toEqual(expect.any(String));
    });

    it('that it publishes at its jwks_uri', async () => {
      const client = await byKey({ jwks_uri: `${keyServer.origin}/keys` });
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' }));
      expect((await oidc.clientCredentialsGrant(config)).access_token).toEqual(expect.any(String));
    });

    it('rejects an assertion signed with another key', async () => {
      const client = await byKey({ jwks });
      const { privateKey } = await generateKeyPair(alg);
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: privateKey, kid: 'one' }));
      await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ error: 'invalid_client' });
    });
  });

  describe('an assertion', () => {
    let privateKey: CryptoKey;
    let client: { id: string };
    beforeAll(async () => {
      const pair = await generateKeyPair('ES256');
      privateKey = pair.privateKey;
      const jwks = { keys: [await exportJWK(pair.publicKey)] };
      client = await server.client({ ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', jwks });
    });

    const assertion = (changes: Record<string, unknown> = {}) =>
      new SignJWT({
        iss: client.id,
        sub: client.id,
        aud: server.issuer,
        jti: oidc.randomState(),
        iat: Math.floor(Date.now() / 1000),
        exp: Math.floor(Date.now() / 1000) + 60,
        ...changes,
      })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(privateKey);

    async function present(jwt: string, path = '/api/v1/oauth/token') {
      const response = await fetch(server.origin + path, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_assertion_type: BY_JWT,
          client_assertion: jwt,
        }),
      });
      return { status: response.status, body: (await response.json()) as { error?: string } };
    }

    it('is good once', async () => {
      const jwt = await assertion();
      expect(await present(jwt)).toMatchObject({ status: 200 });
      expect(await present(jwt)).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    });

    it('is good once even when it comes twenty times at the same moment', async () => {
      const jwt = await assertion();
      const answers = await Promise.all(Array.from({ length: 20 }, () => present(jwt)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    it.each(['/api/v1/oauth/token', '/oauth/token'])('may be meant for the token endpoint, %s', async (path) => {
      expect(await present(await assertion({ aud: server.issuer + path }), path)).toMatchObject({ status: 200 });
    });

    it.each([
      ['for another audience', { aud: 'https://other.example' }],
      ['expired', { exp: Math.floor(Date.now() / 1000) - 120 }],
      ['without an end', { exp: undefined }],
      ['without a number of its own', { jti: undefined }],
      ['of another issuer', { iss: 'https://other.example' }],
    ])('is refused when it is %s', async (_, changes) => {
      expect(await present(await assertion(changes))).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    });
  });
});
