// Access tokens and refresh tokens (RFC 9700, sections 2.2, 2.3, 4.10, 4.14 and 4.15; RFC 9449).
// Tokens bound to certificates: test/flows/rfc8705-mtls.test.ts. DPoP at the JSON API:
// proof-of-possession.test.ts.

import { createHash, randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Browser } from '../support/browser.js';
import { type ClientKey, dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
import { movableClock } from '../support/movable-clock.js';
import { registerDynamically, requestRegistration } from '../support/registration.js';
import {
  isActive,
  obtainCode,
  REDIRECT_URI,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
  type TokenResponse,
} from '../support/relying-party.js';
import { postForm, sendRequest, type TestResponse } from '../support/request.js';
import { createResource } from '../support/resources.js';
import { startServer, type TestServer } from '../support/server.js';
import { signedInBrowser } from '../support/signed-in-browser.js';
import { introspect, openTokenFamily } from '../support/token-family.js';

const OTHER_API = 'https://api.example/v1';
const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };
const PUBLIC = { token_endpoint_auth_method: 'none' };
const AFTER_REUSE_INTERVAL_MS = 11_000;
const STALE_MS = 15 * 60_000;

describe('tokens', () => {
  let server: TestServer;
  let client: TestClient;
  let app: TestClient;
  let account: { id: string; email: string };
  let browser: Browser;
  let ownApi: string;
  const { clock, later } = movableClock();
  beforeAll(async () => {
    server = await startServer({ clock });
    ownApi = `${server.issuer}/api/v1`;
    await createResource(server, OTHER_API, { scopes: [{ name: 'things:read' }] });
    client = await server.client();
    app = await server.client(PUBLIC);
    ({ browser, ...account } = await signedInBrowser(server));
  });
  afterAll(() => server.close());

  const open = (owner: TestClient, more: Record<string, string> = {}) =>
    openTokenFamily(server, owner, account.email, more, browser);
  const userinfo = (authorization: string, headers: Record<string, string> = {}) =>
    sendRequest(server, 'GET', '/oauth/userinfo', { authorization, ...headers });

  describe('a DPoP-bound access token (RFC 9449)', () => {
    let key: ClientKey;
    let bound: TokenResponse;
    let nonce: string;
    beforeAll(async () => {
      key = await makeKey();
      const { code, verifier } = await obtainCode(server, app, account.email, {}, browser);
      const params = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: REDIRECT_URI };
      bound = await tokenWithProof(server, app, key, params);
      nonce = (await present({})).headers['dpop-nonce']!;
    });

    const htu = () => `${server.issuer}/oauth/userinfo`;
    const ath = () => createHash('sha256').update(bound.body.access_token!).digest('base64url');

    /** Sends a userinfo request whose proof is valid except for these claims and header members. */
    async function present(claims: Record<string, unknown>, signer = key, header: Record<string, unknown> = {}) {
      const iat = Math.floor(Date.now() / 1000);
      const all = { htm: 'GET', htu: htu(), ath: ath(), jti: randomUUID(), iat, ...(nonce && { nonce }), ...claims };
      const proof = await new SignJWT(all)
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: signer.publicJwk, ...header } as never)
        .sign(signer.privateKey);
      return userinfo(`DPoP ${bound.body.access_token}`, { dpop: proof });
    }

    function expectRejected(response: TestResponse) {
      expect(response.json.sub).toBeUndefined();
      expect([400, 401]).toContain(response.status);
      expect(response.headers['www-authenticate']).toMatch(/DPoP/);
    }

    it('is accepted with a proof only', async () => {
      expect(bound.body.token_type).toBe('DPoP');
      expect((await present({})).json.sub).toBe(account.id);
      expect((await userinfo(`Bearer ${bound.body.access_token}`)).status).toBe(401);
      expect((await userinfo(`DPoP ${bound.body.access_token}`)).status).toBeGreaterThanOrEqual(400);
      const { body } = await introspect(server, client, bound.body.access_token!);
      expect(body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: key.thumbprint } });
    });

    it.each<[string, () => Record<string, unknown>]>([
      ['another method', () => ({ htm: 'POST' })],
      ['another URI', () => ({ htu: `${server.issuer}/oauth/introspect` })],
      ['another server', () => ({ htu: 'https://evil.example/oauth/userinfo' })],
      ['another token', () => ({ ath: createHash('sha256').update('another').digest('base64url') })],
      ['no token hash', () => ({ ath: undefined })],
      ['a forged nonce', () => ({ nonce: 'x'.repeat(43) })],
      ['no nonce', () => ({ nonce: undefined })],
      ['no jti', () => ({ jti: undefined })],
    ])('is rejected with a proof with %s', async (_description, claims) => {
      expectRejected(await present(claims()));
    });

    // The nonce limits the age of a proof, not `iat`, because the clock of a client can be wrong
    // (RFC 9449, section 4.3).
    it('is rejected with a stale nonce, and without a nonce', async () => {
      for (const offset of [-3600, 3600]) {
        expectRejected(await present({ iat: Math.floor(Date.now() / 1000) + offset, nonce: undefined }));
      }
      expectRejected(await present({ iat: undefined }));
      expect((await present({})).status).toBe(200);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + STALE_MS });
      try {
        const stale = await present({});
        expectRejected(stale);
        expect(stale.json.error).toBe('use_dpop_nonce');
        expect((await present({ nonce: stale.headers['dpop-nonce'] })).status).toBe(200);
      } finally {
        vi.useRealTimers();
      }
    });

    it('is rejected with a reused proof', async () => {
      const jti = randomUUID();
      expect((await present({ jti })).status).toBe(200);
      expectRejected(await present({ jti }));
    });

    it('is rejected with a proof by another key, with a private key in it, or unsigned', async () => {
      const otherKey = await makeKey();
      expectRejected(await present({}, otherKey));
      expectRejected(await present({}, otherKey, { jwk: key.publicJwk }));
      expectRejected(await present({}, key, { typ: 'JWT' }));
      expectRejected(await present({}, key, { jwk: { ...key.publicJwk, d: 'AAAA' } }));
      const unsigned = [
        { alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk },
        { htm: 'GET', htu: htu(), ath: ath() },
      ]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      expectRejected(await userinfo(`DPoP ${bound.body.access_token}`, { dpop: `${unsigned}.` }));
    });

    it('of a public client is refreshed with the same key only', async () => {
      const params = { grant_type: 'refresh_token', refresh_token: bound.body.refresh_token! };
      expect((await requestToken(server, app, params)).status).toBe(400);
      expect((await tokenWithProof(server, app, await makeKey(), params)).status).toBe(400);
      const renewed = await tokenWithProof(server, app, key, params);
      expect([renewed.status, renewed.body.token_type]).toEqual([200, 'DPoP']);
    });
  });

  it('are restricted to one audience (RFC 9700, section 2.3)', async () => {
    const forOther = await open(client, { scope: 'openid things:read', resource: OTHER_API });
    const forOwn = await open(client, { scope: 'openid memory:read', resource: ownApi });
    expect(decodeJwt(forOther.accessToken)).toMatchObject({ aud: OTHER_API, scope: 'things:read' });
    expect(decodeJwt(forOwn.accessToken)).toMatchObject({ aud: ownApi, scope: 'memory:read' });
    for (const jwt of [forOther.accessToken, forOwn.accessToken]) {
      expect(decodeProtectedHeader(jwt)).toMatchObject({ typ: 'at+jwt', alg: 'ES256' });
      expect((await userinfo(`Bearer ${jwt}`)).status).toBe(401);
    }
    expect((await introspect(server, client, forOther.accessToken)).body.aud).toBe(OTHER_API);
  });

  it('are rejected by userinfo with another audience or without the scope openid', async () => {
    const { accessToken } = await open(client, { scope: 'openid things:read', resource: OTHER_API });
    const otherAudience = await userinfo(`Bearer ${accessToken}`);
    expect([otherAudience.status, otherAudience.json.error]).toEqual([401, 'invalid_token']);
    const { body } = await redeemCode(
      server,
      client,
      await obtainCode(server, client, account.email, { scope: 'email', nonce: '' }, browser),
    );
    const narrow = await userinfo(`Bearer ${body.access_token}`);
    expect([narrow.status, narrow.json.error]).toEqual([403, 'insufficient_scope']);
    expect(narrow.headers['www-authenticate']).toMatch(/error="insufficient_scope".*scope="openid"/);
  });

  it('of other types, such as ID tokens and refresh tokens, are rejected as access tokens', async () => {
    const { body } = await redeemCode(server, client, await obtainCode(server, client, account.email, {}, browser));
    for (const text of [body.id_token!, body.refresh_token!]) {
      for (const value of [text, `jwt~${text}`]) {
        const response = await userinfo(`Bearer ${value}`);
        expect([response.status, response.json.error]).toEqual([401, 'invalid_token']);
      }
    }
  });

  it('cannot have scopes that the client did not register', async () => {
    const limited = await server.client({ scope: 'openid things:read' });
    const wanted = { scope: 'openid email things:read memory:write', resource: OTHER_API };
    await expect(open(limited, wanted)).rejects.toThrow('error=invalid_scope');
    const own = await open(limited, { scope: 'openid' });
    const info = await userinfo(`Bearer ${own.accessToken}`);
    expect([info.json.sub, info.json.email]).toEqual([account.id, undefined]);
    const machine = await server.client({ ...MACHINE, scope: 'things:read' });
    const params = { grant_type: 'client_credentials', resource: ownApi, scope: 'memory:read' };
    const response = await requestToken(server, machine, params);
    expect([response.body.error, response.body.access_token]).toEqual(['invalid_scope', undefined]);
  });

  it('of public clients are rotated on refresh (RFC 9700, section 4.14.2)', async () => {
    const first = await open(app);
    const second = await refresh(server, app, first.refreshToken);
    expect(second.status).toBe(200);
    expect(second.body.refresh_token).not.toBe(first.refreshToken);
    const third = await refresh(server, app, second.body.refresh_token!);
    expect(third.body.refresh_token).not.toBe(second.body.refresh_token);
  });

  it.each(['public', 'confidential'])(
    'are all revoked when a refresh token of a %s client is reused (RFC 9700, section 4.14.2)',
    async (kind) => {
      const owner = kind === 'public' ? app : client;
      const first = await open(owner);
      const second = await refresh(server, owner, first.refreshToken);
      const third = await refresh(server, owner, second.body.refresh_token!);
      expect(await isActive(server, third.body.access_token!)).toBe(true);
      expect((await refresh(server, owner, first.refreshToken)).body.error).toBe('invalid_grant');
      for (const { body } of [second, third]) {
        expect(await isActive(server, body.access_token!)).toBe(false);
        expect((await refresh(server, owner, body.refresh_token!)).body.error).toBe('invalid_grant');
      }
    },
  );

  it('are all revoked when a refresh token that a retry replaced is used after the retry interval', async () => {
    const first = await open(app);
    const lost = await refresh(server, app, first.refreshToken);
    const retried = await refresh(server, app, first.refreshToken);
    expect([lost.status, retried.status]).toEqual([200, 200]);
    expect(await isActive(server, lost.body.access_token!)).toBe(false);
    expect(await isActive(server, retried.body.access_token!)).toBe(true);
    await later(AFTER_REUSE_INTERVAL_MS, async () => {
      expect((await refresh(server, app, lost.body.refresh_token!)).body.error).toBe('invalid_grant');
      expect(await isActive(server, retried.body.access_token!)).toBe(false);
      expect((await refresh(server, app, retried.body.refresh_token!)).body.error).toBe('invalid_grant');
    });
  });

  it('cannot get more scopes or another audience on refresh (RFC 6749, section 6)', async () => {
    const { refreshToken } = await open(client, { scope: 'openid things:read', resource: OTHER_API });
    const wider = await refresh(server, client, refreshToken, { scope: 'openid email things:read' });
    expect(wider.body.error).toBe('invalid_scope');
    const otherAudience = await refresh(server, client, refreshToken, { resource: ownApi });
    expect(otherAudience.body.error).toBe('invalid_target');
    const unknown = await refresh(server, client, refreshToken, { resource: 'https://unknown.example' });
    expect(unknown.body.error).toBe('invalid_target');
    const same = await refresh(server, client, refreshToken, { resource: OTHER_API });
    expect(decodeJwt(same.body.access_token!).scope).toBe('things:read'); // rejected attempts did not consume it
  });

  it('of a client cannot be refreshed by another client (RFC 9700, section 2.2.2)', async () => {
    const { refreshToken } = await open(client);
    const others = [
      await server.client(),
      app,
      await registerDynamically(server, { grant_types: ['authorization_code', 'refresh_token'] }),
    ];
    for (const other of others) {
      expect((await refresh(server, other, refreshToken)).body.error).toBe('invalid_grant');
    }
    expect((await refresh(server, { id: client.id, secret: '' }, refreshToken)).status).toBe(401);
    expect((await refresh(server, client, refreshToken)).status).toBe(200);
  });

  it('cannot be refreshed after a week without use, or after the user signs out', async () => {
    const idle = await open(client);
    const expired = await later(8 * 86_400_000, () => refresh(server, client, idle.refreshToken));
    expect(expired.body.error).toBe('invalid_grant'); // REFRESH_TOKEN_TTL is 7d
    const newBrowser = new Browser(server.origin);
    const family = await openTokenFamily(server, client, account.email, {}, newBrowser);
    await newBrowser.submit(await newBrowser.open('/logout'));
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, family.accessToken)).toBe(false);
  });

  it('are rejected when one bit is changed', async () => {
    const family = await open(client, { scope: 'openid memory:read', resource: ownApi });
    const { refreshToken, accessToken } = family;
    for (const position of [0, Math.floor(refreshToken.length / 2), refreshToken.length - 1]) {
      const changed = flip(refreshToken, position);
      expect((await refresh(server, client, changed)).body.error).toBe('invalid_grant');
    }
    for (const position of [3, accessToken.indexOf('.') + 5, accessToken.lastIndexOf('.') + 5]) {
      expect((await introspect(server, client, flip(accessToken, position))).body).toEqual({ active: false });
    }
    expect((await introspect(server, client, accessToken)).body.active).toBe(true);
    expect((await refresh(server, client, refreshToken, { resource: ownApi })).status).toBe(200);
  });

  it('include a refresh token only for clients with the refresh_token grant', async () => {
    const without = await server.client({ grant_types: ['authorization_code'] });
    for (const scope of ['openid', 'openid offline_access']) {
      const response = await redeemCode(
        server,
        without,
        await obtainCode(server, without, account.email, { scope, prompt: 'consent' }, browser),
      );
      expect([response.status, response.body.refresh_token]).toEqual([200, undefined]);
    }
    expect((await open(client)).refreshToken).toEqual(expect.any(String));
    const machine = await server.client(MACHINE);
    const response = await requestToken(server, machine, { grant_type: 'client_credentials' });
    expect([response.status, response.body.refresh_token]).toEqual([200, undefined]);
  });

  it('cannot be confused by a client with a chosen client_id (RFC 9700, section 4.15)', async () => {
    const { json } = await requestRegistration(server, { client_id: account.id });
    expect(json.client_id).not.toBe(account.id);
    const { json: chosen } = await requestRegistration(server, { client_id: 'admin', sub: account.id });
    expect(chosen.client_id).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/);
    expect(chosen.client_id).not.toBe('admin');
  });

  it('of a client without a user have the client as subject (RFC 9700, section 4.15)', async () => {
    const machine = await server.client(MACHINE);
    const opaque = await requestToken(server, machine, { grant_type: 'client_credentials' });
    const params = { grant_type: 'client_credentials', resource: ownApi, scope: 'memory:read' };
    const jwt = await requestToken(server, machine, params);
    expect(decodeJwt(jwt.body.access_token!)).toMatchObject({ sub: machine.id, client_id: machine.id });
    const { body } = await introspect(server, client, opaque.body.access_token!);
    expect(body.active).toBe(true);
    expect([undefined, machine.id]).toContain(body.sub);
    for (const text of [opaque.body.access_token!, jwt.body.access_token!]) {
      expect((await userinfo(`Bearer ${text}`)).status).toBe(401);
      const cookie = await sendRequest(server, 'GET', '/account', {
        cookie: `signet_login=${text}`,
        accept: 'text/html',
      });
      expect(cookie.status).toBe(303);
    }
  });

  it('are introspected and revoked by authenticated clients only (RFC 7009, RFC 7662)', async () => {
    const { accessToken } = await open(client);
    const unauthenticated = await postForm(server, '/oauth/introspect', { token: accessToken });
    expect(unauthenticated.status).toBe(400);
    const bearer = { authorization: `Bearer ${accessToken}` };
    expect((await postForm(server, '/oauth/introspect', { token: accessToken }, { headers: bearer })).text).not.toMatch(
      'true',
    );
    const other = await server.client();
    const byOther = await postForm(server, '/oauth/revoke', { token: accessToken }, { client: other });
    expect(byOther.status).toBe(400);
    expect(await isActive(server, accessToken)).toBe(true);
  });

  it('that are not bound to a key are rejected with the DPoP scheme', async () => {
    const { accessToken } = await open(client);
    const proof = await dpop(await makeKey(), { htm: 'POST', htu: `${server.issuer}/oauth/token`, accessToken });
    expect((await userinfo(`DPoP ${accessToken}`, { dpop: proof })).status).toBeGreaterThanOrEqual(400);
  });
});

/**
 * Changes one character in its highest bit, because the lowest bits of a last one can be unused.
 */
function flip(text: string, position: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const other = alphabet[(alphabet.indexOf(text[position]!) + 32) % 64];
  return `${text.slice(0, position)}${other}${text.slice(position + 1)}`;
}
