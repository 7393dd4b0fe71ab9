// Client authentication with secrets and with private_key_jwt (RFC 7523), by openid-client.
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, openHttpServer } from '../support/http-server.js';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { postForm } from '../support/request.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

describe.each(stores)('client authentication, with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store });
  });
  afterAll(() => server.close());

  it.each([
    ['client_secret_basic', oidc.ClientSecretBasic],
    ['client_secret_post', oidc.ClientSecretPost],
  ])('accepts the secret of a client, and no other (%s)', async (method, authentication) => {
    const { email } = await server.account();
    const client = await server.client({ token_endpoint_auth_method: method });
    const config = await discover(server, client, authentication(client.secret));
    const tokens = await signIn(config, browserFor(server), email);
    expect(tokens.claims()).toMatchObject({ email });
    const withWrongSecret = await discover(server, client, authentication('wrong'));
    await expect(oidc.refreshTokenGrant(withWrongSecret, tokens.refresh_token!)).rejects.toMatchObject({ status: 401 });
  });

  it('rejects a client that has a secret and sends only its client_id', async () => {
    const client = await server.client(MACHINE);
    const config = await discover(server, client, oidc.None());
    await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ status: 401, error: 'invalid_client' });
  });

  describe.each(['RS256', 'ES256', 'PS256', 'Ed25519'])('private_key_jwt with %s', (alg) => {
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

    const createClient = (members: object) =>
      server.client({ ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', ...members });

    it('accepts an assertion of the registered key', async () => {
      const client = await createClient({ jwks });
      expect(client.secret).toBe('');
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' }));
      expect((await oidc.clientCredentialsGrant(config)).access_token).toEqual(expect.any(String));
    });

    it('accepts an assertion of a key at the jwks_uri of the client', async () => {
      const client = await createClient({ jwks_uri: `${keyServer.origin}/keys` });
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' }));
      expect((await oidc.clientCredentialsGrant(config)).access_token).toEqual(expect.any(String));
    });

    it('rejects an assertion signed with another key', async () => {
      const client = await createClient({ jwks });
      const { privateKey } = await generateKeyPair(alg);
      const config = await discover(server, client, oidc.PrivateKeyJwt({ key: privateKey, kid: 'one' }));
      await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ error: 'invalid_client' });
    });
  });

  describe('a client assertion', () => {
    let privateKey: CryptoKey;
    let client: { id: string };
    beforeAll(async () => {
      const pair = await generateKeyPair('ES256');
      privateKey = pair.privateKey;
      const jwks = { keys: [await exportJWK(pair.publicKey)] };
      client = await server.client({ ...MACHINE, token_endpoint_auth_method: 'private_key_jwt', jwks });
    });

    const signAssertion = (changes: Record<string, unknown> = {}) =>
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

    const present = (jwt: string, path = '/api/v1/oauth/token') =>
      postForm(server, path, {
        grant_type: 'client_credentials',
        client_assertion_type: JWT_BEARER,
        client_assertion: jwt,
      });

    it('is accepted once', async () => {
      const jwt = await signAssertion();
      expect(await present(jwt)).toMatchObject({ status: 200 });
      expect(await present(jwt)).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
    });

    it('is accepted once of twenty concurrent requests', async () => {
      const jwt = await signAssertion();
      const responses = await Promise.all(Array.from({ length: 20 }, () => present(jwt)));
      expect(responses.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    it.each(['/api/v1/oauth/token', '/oauth/token'])(
      'can have the token endpoint as its audience (%s)',
      async (path) => {
        expect(await present(await signAssertion({ aud: server.issuer + path }), path)).toMatchObject({ status: 200 });
      },
    );

    it.each([
      ['for another audience', { aud: 'https://other.example' }],
      ['expired', { exp: Math.floor(Date.now() / 1000) - 120 }],
      ['without an expiry', { exp: undefined }],
      ['without a jti', { jti: undefined }],
      ['of another issuer', { iss: 'https://other.example' }],
    ])('is rejected when it is %s', async (_, changes) => {
      expect(await present(await signAssertion(changes))).toMatchObject({
        status: 401,
        json: { error: 'invalid_client' },
      });
    });
  });
});
