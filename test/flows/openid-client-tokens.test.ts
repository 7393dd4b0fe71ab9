// The tokens of an app on openid-client: refresh, revocation, introspection, client credentials and
// DPoP.
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { requestToken } from '../support/relying-party.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const OFFLINE = { scope: 'openid email offline_access', prompt: 'consent' };
const invalidGrant = { error: 'invalid_grant' };

describe.each(stores)('tokens with the server on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
  });
  afterAll(() => server.close());

  /** Creates an account, an app, and a browser without a session. */
  async function createAccountAndApp(metadata: Record<string, unknown> = {}) {
    const [account, client] = [await server.account(), await server.client(metadata)];
    return {
      account,
      client,
      email: account.email,
      config: await discover(server, client),
      browser: browserFor(server),
    };
  }

  /** Creates a machine client (client credentials). */
  async function createMachineClient() {
    const client = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    return { client, config: await discover(server, client) };
  }

  const isActive = (config: oidc.Configuration, token: string, sub: string) =>
    oidc.fetchUserInfo(config, token, sub).then(
      () => true,
      (error) => {
        if (error.status === 401) return false;
        throw error;
      },
    );

  describe('a refresh token', () => {
    it('is rotated and keeps the user', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const first = await signIn(config, browser, account.email);
      const second = await oidc.refreshTokenGrant(config, first.refresh_token!);
      expect(second.refresh_token).not.toBe(first.refresh_token);
      expect(second.access_token).not.toBe(first.access_token);
      expect(second.claims()?.sub).toBe(account.id);
      const third = await oidc.refreshTokenGrant(config, second.refresh_token!);
      expect(await isActive(config, third.access_token, account.id)).toBe(true);
    });

    it('revokes its whole family when it is reused', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const first = await signIn(config, browser, account.email, OFFLINE);
      const second = await oidc.refreshTokenGrant(config, first.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, first.refresh_token!)).rejects.toMatchObject(invalidGrant);
      await expect(oidc.refreshTokenGrant(config, second.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isActive(config, second.access_token, account.id)).toBe(false);
    });

    it('does not revoke other families of the same user and app when it is reused', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const stolen = await signIn(config, browser, account.email);
      const other = await signIn(config, browser, account.email);
      await oidc.refreshTokenGrant(config, stolen.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, stolen.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isActive(config, other.access_token, account.id)).toBe(true);
    });

    it('is redeemed by exactly one of twenty concurrent requests', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const { refresh_token: token } = await signIn(config, browser, account.email);
      const responses = await Promise.allSettled(
        Array.from({ length: 20 }, () => oidc.refreshTokenGrant(config, token!)),
      );
      const rejected = responses.filter((response) => response.status === 'rejected');
      expect(rejected.map(({ reason }) => reason.error)).toEqual(Array(19).fill('invalid_grant'));
    });

    it('cannot be redeemed by another app', async () => {
      const { email, config, browser } = await createAccountAndApp();
      const other = await createAccountAndApp();
      const { refresh_token: token } = await signIn(config, browser, email);
      await expect(oidc.refreshTokenGrant(other.config, token!)).rejects.toMatchObject(invalidGrant);
    });

    it('is not issued to an app that did not register the grant type', async () => {
      const { email, config, browser } = await createAccountAndApp({ grant_types: ['authorization_code'] });
      expect((await signIn(config, browser, email, OFFLINE)).refresh_token).toBeUndefined();
    });
  });

  describe('revocation (RFC 7009)', () => {
    it('revokes an access token, but not its refresh token', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);
      expect(await isActive(config, tokens.access_token, account.id)).toBe(true);
      await oidc.tokenRevocation(config, tokens.access_token, { token_type_hint: 'access_token' });
      expect(await isActive(config, tokens.access_token, account.id)).toBe(false);
      const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token!);
      expect(await isActive(config, renewed.access_token, account.id)).toBe(true);
    });

    it('revokes a JWT access token', async () => {
      const { config } = await createMachineClient();
      const { access_token: token } = await oidc.clientCredentialsGrant(config, {
        resource: `${server.issuer}/api/v1`,
        scope: 'memory:read',
      });
      expect(await oidc.tokenIntrospection(config, token)).toMatchObject({ active: true });
      await oidc.tokenRevocation(config, token);
      expect(await oidc.tokenIntrospection(config, token)).toEqual({ active: false });
    });

    it('revokes the access tokens of a refresh token', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email, OFFLINE);
      await oidc.tokenRevocation(config, tokens.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isActive(config, tokens.access_token, account.id)).toBe(false);
    });

    it('rejects the tokens of another app', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const other = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);
      for (const token of [tokens.access_token, tokens.refresh_token!]) {
        await expect(oidc.tokenRevocation(other.config, token)).rejects.toMatchObject({ error: 'invalid_request' });
      }
      expect(await oidc.tokenIntrospection(config, tokens.refresh_token!)).toMatchObject({ active: true });
      expect(await isActive(config, tokens.access_token, account.id)).toBe(true);
    });

    it.each(['garbage', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.'])('accepts %j, which is not a token', async (token) => {
      const { config } = await createAccountAndApp();
      await expect(oidc.tokenRevocation(config, token)).resolves.toBeUndefined();
    });
  });

  describe('introspection (RFC 7662)', () => {
    it('describes an opaque access token and a refresh token', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);
      const common = { active: true, sub: account.id, client_id: client.id, iss: server.issuer };
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({
        ...common,
        scope: 'openid profile email',
        token_type: 'Bearer',
      });
      expect(await oidc.tokenIntrospection(config, tokens.refresh_token!)).toMatchObject(common);
    });

    it('describes a JWT access token until the user signs out', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const resource = `${server.issuer}/api/v1`;
      const tokens = await signIn(config, browser, account.email, { scope: 'openid memory:read', resource });
      expect(decodeProtectedHeader(tokens.access_token).typ).toBe('at+jwt');
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({
        active: true,
        sub: account.id,
        client_id: client.id,
        aud: resource,
        scope: 'memory:read',
      });
      await browser.submit(await browser.open('/logout'));
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toEqual({ active: false });
    });

    it('reports malformed, forged and used tokens as inactive', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const tokens = await signIn(config, browser, account.email);
      await oidc.refreshTokenGrant(config, tokens.refresh_token!);
      const { privateKey } = await oidc.randomDPoPKeyPair('ES256');
      const forged = await new SignJWT({ client_id: client.id, scope: 'memory:read', gid: 'x', jti: 'x' })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
        .setIssuer(server.issuer)
        .setAudience(`${server.issuer}/api/v1`)
        .setSubject(account.id)
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey);
      const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${forged.split('.')[1]}.`;
      for (const token of [
        'garbage',
        'a.b.c',
        '..',
        'jwt~a.b.c',
        forged,
        unsigned,
        tokens.id_token!,
        tokens.refresh_token!,
      ]) {
        expect(await oidc.tokenIntrospection(config, token), token).toEqual({ active: false });
      }
    });

    it('rejects an app that does not authenticate', async () => {
      const { account, client, config, browser } = await createAccountAndApp();
      const { access_token: token } = await signIn(config, browser, account.email);
      const withWrongSecret = await discover(server, { ...client, secret: 'wrong' });
      await expect(oidc.tokenIntrospection(withWrongSecret, token)).rejects.toMatchObject({ status: 401 });
    });

    it('reports the tokens of other apps as inactive to a dynamically registered app', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const { access_token: token } = await signIn(config, browser, account.email);
      const registered = await oidc.dynamicClientRegistration(
        new URL(server.issuer),
        { redirect_uris: ['https://other.example/cb'] },
        undefined,
        { execute: [oidc.allowInsecureRequests] },
      );
      expect(await oidc.tokenIntrospection(registered, token)).toEqual({ active: false });
    });
  });

  describe('the client credentials grant', () => {
    it('issues an opaque token without a resource', async () => {
      const { client, config } = await createMachineClient();
      const tokens = await oidc.clientCredentialsGrant(config);
      expect(tokens.access_token).not.toContain('.');
      expect(tokens.refresh_token).toBeUndefined();
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({
        active: true,
        client_id: client.id,
      });
    });

    it('issues a JWT for a resource, which the published keys verify (RFC 9068)', async () => {
      const { client, config } = await createMachineClient();
      const resource = `${server.issuer}/api/v1`;
      const tokens = await oidc.clientCredentialsGrant(config, { resource, scope: 'memory:read vector:search' });
      expect(tokens.expires_in).toBe(28_800);
      const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri!));
      const { payload, protectedHeader } = await jwtVerify(tokens.access_token, keys, {
        issuer: server.issuer,
        audience: resource,
        typ: 'at+jwt',
        algorithms: ['ES256'],
      });
      expect(protectedHeader.kid).toEqual(expect.any(String));
      expect(payload).toMatchObject({
        client_id: client.id,
        sub: client.id,
        scope: 'memory:read vector:search',
        jti: expect.any(String),
      });
      expect(payload.exp! - payload.iat!).toBe(28_800);
    });

    it('rejects an unknown resource', async () => {
      const { config } = await createMachineClient();
      const request = oidc.clientCredentialsGrant(config, { resource: 'https://nowhere.example/api' });
      await expect(request).rejects.toMatchObject({ error: 'invalid_target' });
    });

    it('is rejected for an app that is not registered for it', async () => {
      const { config } = await createAccountAndApp();
      await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ error: 'unauthorized_client' });
    });
  });

  describe('DPoP-bound tokens (RFC 9449)', () => {
    it('are issued for a proof with a nonce of the server, and rejected without the key', async () => {
      const { account, config, browser } = await createAccountAndApp();
      const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const tokens = await signIn(config, browser, account.email, {}, { DPoP });
      expect(tokens.token_type).toBe('dpop');
      const fetchUserInfo = () => oidc.fetchUserInfo(config, tokens.access_token, account.id, { DPoP });
      expect(await fetchUserInfo()).toMatchObject({ sub: account.id });

      expect(await isActive(config, tokens.access_token, account.id)).toBe(false);
      const otherKey = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const stolen = oidc.fetchUserInfo(config, tokens.access_token, account.id, { DPoP: otherKey });
      await expect(stolen).rejects.toMatchObject({ status: 401 });
      const downgraded = await fetch(config.serverMetadata().userinfo_endpoint!, {
        headers: { authorization: `DPoP ${tokens.access_token}` },
      });
      expect(downgraded.status).toBe(400);
      expect(await fetchUserInfo()).toMatchObject({ sub: account.id });
    });

    it('need a nonce, which the response to a proof without one contains', async () => {
      const { client } = await createMachineClient();
      const { privateKey, publicKey } = await oidc.randomDPoPKeyPair('ES256', { extractable: true });
      const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey);
      const proof = await new SignJWT({
        jti: oidc.randomState(),
        htm: 'POST',
        htu: `${server.issuer}/api/v1/oauth/token`,
      })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: { kty, crv, x, y } as never })
        .setIssuedAt()
        .sign(privateKey);
      const params = { grant_type: 'client_credentials' };
      const { status, body, headers } = await requestToken(server, client, params, { headers: { DPoP: proof } });
      expect([status, body.error]).toEqual([400, 'use_dpop_nonce']);
      expect(headers['dpop-nonce']).toBeTruthy();
    });

    it('are refreshed by a public client only with its key', async () => {
      const { account, config, browser } = await createAccountAndApp({ token_endpoint_auth_method: 'none' });
      const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const tokens = await signIn(config, browser, account.email, {}, { DPoP });
      const otherKey = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const withOtherKey = oidc.refreshTokenGrant(config, tokens.refresh_token!, undefined, { DPoP: otherKey });
      await expect(withOtherKey).rejects.toMatchObject(invalidGrant);
      await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject(invalidGrant);
      const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token!, undefined, { DPoP });
      expect(renewed.token_type).toBe('dpop');
    });
  });
});
