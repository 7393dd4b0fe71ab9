import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserFor, discover, signIn } from '../support/openid-client.js';
import { startServer, type TestServer } from '../support/server.js';
import { stores } from '../support/stores.js';

const OFFLINE = { scope: 'openid email offline_access', prompt: 'consent' };
const invalidGrant = { error: 'invalid_grant' };

describe.each(stores)('the tokens of an app on openid-client, with the house on $name', (store) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store, settings: { REFRESH_TOKEN_REUSE_INTERVAL: '0s' } });
  });
  afterAll(() => server.close());

  /** An app, an account, and a browser without a session. */
  async function provisioning(metadata: Record<string, unknown> = {}) {
    const [account, client] = [await server.account(), await server.client(metadata)];
    return {
      account,
      client,
      email: account.email,
      config: await discover(server, client),
      browser: browserFor(server),
    };
  }

  /** An app that acts for itself, without a user. */
  async function machine() {
    const client = await server.client({ grant_types: ['client_credentials'], redirect_uris: [] });
    return { client, config: await discover(server, client) };
  }

  const isAlive = (config: oidc.Configuration, token: string, sub: string) =>
    oidc.fetchUserInfo(config, token, sub).then(
      () => true,
      (error) => {
        if (error.status === 401) return false;
        throw error;
      },
    );

  describe('refreshing', () => {
    it('rotates the refresh token and keeps the person', async () => {
      const { account, config, browser } = await provisioning();
      const first = await signIn(config, browser, account.email);
      const second = await oidc.refreshTokenGrant(config, first.refresh_token!);
      expect(second.refresh_token).not.toBe(first.refresh_token);
      expect(second.access_token).not.toBe(first.access_token);
      expect(second.claims()?.sub).toBe(account.id);
      const third = await oidc.refreshTokenGrant(config, second.refresh_token!);
      expect(await isAlive(config, third.access_token, account.id)).toBe(true);
    });

    it('ends the whole family when a refresh token is used twice', async () => {
      const { account, config, browser } = await provisioning();
      const first = await signIn(config, browser, account.email, OFFLINE);
      const second = await oidc.refreshTokenGrant(config, first.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, first.refresh_token!)).rejects.toMatchObject(invalidGrant);
      await expect(oidc.refreshTokenGrant(config, second.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isAlive(config, second.access_token, account.id)).toBe(false);
    });

    it('leaves the other families of the same person and app alone', async () => {
      const { account, config, browser } = await provisioning();
      const stolen = await signIn(config, browser, account.email);
      const other = await signIn(config, browser, account.email);
      await oidc.refreshTokenGrant(config, stolen.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, stolen.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isAlive(config, other.access_token, account.id)).toBe(true);
    });

    it('lets exactly one of twenty redemptions at once succeed', async () => {
      const { account, config, browser } = await provisioning();
      const { refresh_token: token } = await signIn(config, browser, account.email);
      const answers = await Promise.allSettled(
        Array.from({ length: 20 }, () => oidc.refreshTokenGrant(config, token!)),
      );
      const refused = answers.filter((answer) => answer.status === 'rejected');
      expect(refused.map(({ reason }) => reason.error)).toEqual(Array(19).fill('invalid_grant'));
    });

    it('is not for another app', async () => {
      const { email, config, browser } = await provisioning();
      const other = await provisioning();
      const { refresh_token: token } = await signIn(config, browser, email);
      await expect(oidc.refreshTokenGrant(other.config, token!)).rejects.toMatchObject(invalidGrant);
    });

    it('is not there for an app that did not register for it', async () => {
      const { email, config, browser } = await provisioning({ grant_types: ['authorization_code'] });
      expect((await signIn(config, browser, email, OFFLINE)).refresh_token).toBeUndefined();
    });
  });

  describe('revoking (RFC 7009)', () => {
    it('ends an access token at once', async () => {
      const { account, config, browser } = await provisioning();
      const tokens = await signIn(config, browser, account.email);
      expect(await isAlive(config, tokens.access_token, account.id)).toBe(true);
      await oidc.tokenRevocation(config, tokens.access_token, { token_type_hint: 'access_token' });
      expect(await isAlive(config, tokens.access_token, account.id)).toBe(false);
      // The refresh token can still get another.
      const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token!);
      expect(await isAlive(config, renewed.access_token, account.id)).toBe(true);
    });

    it('ends a JWT access token at once', async () => {
      const { config } = await machine();
      const { access_token: token } = await oidc.clientCredentialsGrant(config, {
        resource: `${server.issuer}/api/v1`,
        scope: 'memory:read',
      });
      expect(await oidc.tokenIntrospection(config, token)).toMatchObject({ active: true });
      await oidc.tokenRevocation(config, token);
      expect(await oidc.tokenIntrospection(config, token)).toEqual({ active: false });
    });

    it('ends the access tokens together with the refresh token', async () => {
      const { account, config, browser } = await provisioning();
      const tokens = await signIn(config, browser, account.email, OFFLINE);
      await oidc.tokenRevocation(config, tokens.refresh_token!);
      await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject(invalidGrant);
      expect(await isAlive(config, tokens.access_token, account.id)).toBe(false);
    });

    it('does nothing to the tokens of another app, which is told so', async () => {
      const { account, config, browser } = await provisioning();
      const other = await provisioning();
      const tokens = await signIn(config, browser, account.email);
      for (const token of [tokens.access_token, tokens.refresh_token!]) {
        await expect(oidc.tokenRevocation(other.config, token)).rejects.toMatchObject({ error: 'invalid_request' });
      }
      expect(await oidc.tokenIntrospection(config, tokens.refresh_token!)).toMatchObject({ active: true });
      expect(await isAlive(config, tokens.access_token, account.id)).toBe(true);
    });

    it.each(['garbage', 'a.b.c', 'eyJhbGciOiJub25lIn0.e30.'])(
      'is content with %j, which is no token',
      async (token) => {
        const { config } = await provisioning();
        await expect(oidc.tokenRevocation(config, token)).resolves.toBeUndefined();
      },
    );
  });

  describe('introspecting (RFC 7662)', () => {
    it('describes an opaque access token and a refresh token', async () => {
      const { account, client, config, browser } = await provisioning();
      const tokens = await signIn(config, browser, account.email);
      const common = { active: true, sub: account.id, client_id: client.id, iss: server.issuer };
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({
        ...common,
        scope: 'openid profile email',
        token_type: 'Bearer',
      });
      expect(await oidc.tokenIntrospection(config, tokens.refresh_token!)).toMatchObject(common);
    });

    it('describes a JWT access token, and no longer once the login has ended', async () => {
      const { account, client, config, browser } = await provisioning();
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

    it('answers only that it is not active to a garbage or forged token, and to a spent one', async () => {
      const { account, client, config, browser } = await provisioning();
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
      const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${forged.split('.')[1]}.`;
      for (const token of [
        'garbage',
        'a.b.c',
        '..',
        'jwt~a.b.c',
        forged,
        none,
        tokens.id_token!,
        tokens.refresh_token!,
      ]) {
        expect(await oidc.tokenIntrospection(config, token), token).toEqual({ active: false });
      }
    });

    it('rejects an app that does not authenticate', async () => {
      const { account, client, config, browser } = await provisioning();
      const { access_token: token } = await signIn(config, browser, account.email);
      const stranger = await discover(server, { ...client, secret: 'wrong' });
      await expect(oidc.tokenIntrospection(stranger, token)).rejects.toMatchObject({ status: 401 });
    });

    it('tells an app that registered itself nothing about the tokens of others', async () => {
      const { account, config, browser } = await provisioning();
      const { access_token: token } = await signIn(config, browser, account.email);
      const stranger = await oidc.dynamicClientRegistration(
        new URL(server.issuer),
        { redirect_uris: ['https://stranger.example/cb'] },
        undefined,
        { execute: [oidc.allowInsecureRequests] },
      );
      expect(await oidc.tokenIntrospection(stranger, token)).toEqual({ active: false });
    });
  });

  describe('an app by itself (client credentials)', () => {
    it('gets an opaque token when it names no API', async () => {
      const { client, config } = await machine();
      const tokens = await oidc.clientCredentialsGrant(config);
      expect(tokens.access_token).not.toContain('.');
      expect(tokens.refresh_token).toBeUndefined();
      expect(await oidc.tokenIntrospection(config, tokens.access_token)).toMatchObject({
        active: true,
        client_id: client.id,
      });
    });

    it('gets a signed token for the API that it names, which the published keys verify (RFC 9068)', async () => {
      const { client, config } = await machine();
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

    it('receives invalid_target for an unknown API', async () => {
      const { config } = await machine();
      const asked = oidc.clientCredentialsGrant(config, { resource: 'https://nowhere.example/api' });
      await expect(asked).rejects.toMatchObject({ error: 'invalid_target' });
    });

    it('is not there for an app that an administrator did not give it', async () => {
      const { config } = await provisioning();
      await expect(oidc.clientCredentialsGrant(config)).rejects.toMatchObject({ error: 'unauthorized_client' });
    });
  });

  describe('tokens bound to a key (DPoP, RFC 9449)', () => {
    it('are given for a proof with a nonce of the house, and good for nothing without the key', async () => {
      const { account, config, browser } = await provisioning();
      const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const tokens = await signIn(config, browser, account.email, {}, { DPoP });
      expect(tokens.token_type).toBe('dpop');
      const asked = () => oidc.fetchUserInfo(config, tokens.access_token, account.id, { DPoP });
      expect(await asked()).toMatchObject({ sub: account.id });

      expect(await isAlive(config, tokens.access_token, account.id)).toBe(false);
      const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const stolen = oidc.fetchUserInfo(config, tokens.access_token, account.id, { DPoP: thief });
      await expect(stolen).rejects.toMatchObject({ status: 401 });
      const downgraded = await fetch(config.serverMetadata().userinfo_endpoint!, {
        headers: { authorization: `DPoP ${tokens.access_token}` },
      });
      expect(downgraded.status).toBe(400);
      expect(await asked()).toMatchObject({ sub: account.id });
    });

    it('demand a nonce: a proof without one is answered with one', async () => {
      const { client } = await machine();
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
      const answer = await fetch(`${server.issuer}/api/v1/oauth/token`, {
        method: 'POST',
        headers: {
          DPoP: proof,
          authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`,
        },
        body: new URLSearchParams({ grant_type: 'client_credentials' }),
      });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ error: 'use_dpop_nonce' });
      expect(answer.headers.get('dpop-nonce')).toBeTruthy();
    });

    it("are refreshed, by a public app, only with the app's key", async () => {
      const { account, config, browser } = await provisioning({ token_endpoint_auth_method: 'none' });
      const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const tokens = await signIn(config, browser, account.email, {}, { DPoP });
      const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'));
      const refused = oidc.refreshTokenGrant(config, tokens.refresh_token!, undefined, { DPoP: thief });
      await expect(refused).rejects.toMatchObject(invalidGrant);
      await expect(oidc.refreshTokenGrant(config, tokens.refresh_token!)).rejects.toMatchObject(invalidGrant);
      const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token!, undefined, { DPoP });
      expect(renewed.token_type).toBe('dpop');
    });
  });
});
