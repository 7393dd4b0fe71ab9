// RFC 9700, tokens: numbers 25 to 37 of the checklist. Of 25, certificates (mTLS) are not built;
// DPoP is. Of 27 and 28, the only API that this server has itself so far is userinfo: other APIs
// are spoken for by introspection, which tells `aud` and `scope`.

import { createHash, randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Browser } from '../support/browser.js';
import { type ClientKey, dpop, makeKey, tokenWithProof } from '../support/client-keys.js';
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
import { basicAuth, postForm, sendRequest, type TestResponse } from '../support/request.js';
import { PASSWORD, startServer, type TestServer } from '../support/server.js';
import { introspect, openTokenFamily } from '../support/token-family.js';

const OTHER_API = 'https://api.example/v1';
const MACHINE = { grant_types: ['client_credentials'], redirect_uris: [] };
const PUBLIC = { token_endpoint_auth_method: 'none' };
const PAST_RETRIES_MS = 11_000;
const STALE_MS = 15 * 60_000;

describe('tokens', () => {
  let server: TestServer;
  let client: TestClient;
  let app: TestClient;
  let account: { id: string; email: string };
  let person: Browser;
  let ownApi: string;
  let aheadMs = 0;
  beforeAll(async () => {
    server = await startServer({ clock: { now: () => new Date(Date.now() + aheadMs) } });
    ownApi = `${server.issuer}/api/v1`;
    await server.base.db.resource.create({
      data: {
        identifier: OTHER_API,
        name: 'Other API',
        scopes: { create: [{ name: 'things:read', description: 'Read your things.' }] },
      },
    });
    await server.core.resources.reload();
    client = await server.client();
    app = await server.client(PUBLIC);
    account = await server.account();
    person = new Browser(server.origin);
    await person.signIn(account.email, PASSWORD);
  });
  afterAll(() => server.close());

  const open = (from: TestClient, more: Record<string, string> = {}) =>
    openTokenFamily(server, from, account.email, more, person);
  const userinfo = (authorization: string, headers: Record<string, string> = {}) =>
    sendRequest(server, 'GET', '/oauth/userinfo', { authorization, ...headers });

  describe('25. and 26. a token that is bound to a key', () => {
    let key: ClientKey;
    let bound: TokenResponse;
    let nonce: string;
    beforeAll(async () => {
      key = await makeKey();
      const { code, verifier } = await obtainCode(server, app, account.email, {}, person);
      const params = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: REDIRECT_URI };
      bound = await tokenWithProof(server, app, key, params);
      const asked = await present({});
      nonce = asked.headers['dpop-nonce']!;
    });

    const htu = () => `${server.issuer}/oauth/userinfo`;
    const ath = () => createHash('sha256').update(bound.body.access_token!).digest('base64url');

    /** A request to userinfo with a proof that is right but for these members. */
    async function present(claims: Record<string, unknown>, by = key, header: Record<string, unknown> = {}) {
      const iat = Math.floor(Date.now() / 1000);
      const all = { htm: 'GET', htu: htu(), ath: ath(), jti: randomUUID(), iat, ...(nonce && { nonce }), ...claims };
      const proof = await new SignJWT(all)
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: by.publicJwk, ...header } as never)
        .sign(by.privateKey);
      return userinfo(`DPoP ${bound.body.access_token}`, { dpop: proof });
    }

    function expectRefused(answer: TestResponse) {
      expect(answer.json.sub).toBeUndefined();
      expect([400, 401]).toContain(answer.status);
      expect(answer.headers['www-authenticate']).toMatch(/DPoP/);
    }

    it('25. is good with a proof, and refused without one', async () => {
      expect(bound.body.token_type).toBe('DPoP');
      expect((await present({})).json.sub).toBe(account.id);
      expect((await userinfo(`Bearer ${bound.body.access_token}`)).status).toBe(401);
      expect((await userinfo(`DPoP ${bound.body.access_token}`)).status).toBeGreaterThanOrEqual(400);
      const { body } = await introspect(server, client, bound.body.access_token!);
      expect(body).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: key.thumbprint } });
    });

    it.each<[string, () => Record<string, unknown>]>([
      ['another method', () => ({ htm: 'POST' })],
      ['another address', () => ({ htu: `${server.issuer}/oauth/introspect` })],
      ['another server', () => ({ htu: 'https://evil.example/oauth/userinfo' })],
      ['another token', () => ({ ath: createHash('sha256').update('another').digest('base64url') })],
      ['no token', () => ({ ath: undefined })],
      ['a nonce that somebody made up', () => ({ nonce: 'x'.repeat(43) })],
      ['no nonce', () => ({ nonce: undefined })],
      ['no id', () => ({ jti: undefined })],
    ])('26. is refused with a proof for %s', async (_what, claims) => {
      expectRefused(await present(claims()));
    });

    // How old a proof is, the nonce tells and not its own `iat` (RFC 9449, 4.3): an app may have a
    // wrong clock.
    it('26. is refused with a stale proof: an old nonce, or none and an old time', async () => {
      for (const offset of [-3600, 3600]) {
        expectRefused(await present({ iat: Math.floor(Date.now() / 1000) + offset, nonce: undefined }));
      }
      expectRefused(await present({ iat: undefined }));
      expect((await present({})).status).toBe(200);
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + STALE_MS });
      try {
        const stale = await present({});
        expectRefused(stale);
        expect(stale.json.error).toBe('use_dpop_nonce');
        expect((await present({ nonce: stale.headers['dpop-nonce'] })).status).toBe(200);
      } finally {
        vi.useRealTimers();
      }
    });

    it('26. is refused with a proof that was seen before', async () => {
      const jti = randomUUID();
      expect((await present({ jti })).status).toBe(200);
      expectRefused(await present({ jti }));
    });

    it('26. is refused with the key of another, with a key in the clear, and with no signature', async () => {
      const thief = await makeKey();
      expectRefused(await present({}, thief));
      expectRefused(await present({}, thief, { jwk: key.publicJwk }));
      expectRefused(await present({}, key, { typ: 'JWT' }));
      expectRefused(await present({}, key, { jwk: { ...key.publicJwk, d: 'AAAA' } }));
      const unsigned = [
        { alg: 'none', typ: 'dpop+jwt', jwk: key.publicJwk },
        { htm: 'GET', htu: htu(), ath: ath() },
      ]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      expectRefused(await userinfo(`DPoP ${bound.body.access_token}`, { dpop: `${unsigned}.` }));
    });

    it("25. is refreshed by a public app with the app's key only", async () => {
      const params = { grant_type: 'refresh_token', refresh_token: bound.body.refresh_token! };
      expect((await requestToken(server, app, params)).status).toBe(400);
      expect((await tokenWithProof(server, app, await makeKey(), params)).status).toBe(400);
      const renewed = await tokenWithProof(server, app, key, params);
      expect([renewed.status, renewed.body.token_type]).toEqual([200, 'DPoP']);
    });
  });

  it('27. a token is for one API, and no other takes it', async () => {
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

  it('28. userinfo refuses a token for another audience, and one without the scope for it', async () => {
    const { accessToken } = await open(client, { scope: 'openid things:read', resource: OTHER_API });
    const foreign = await userinfo(`Bearer ${accessToken}`);
    expect([foreign.status, foreign.json.error]).toEqual([401, 'invalid_token']);
    const { body } = await redeemCode(
      server,
      client,
      await obtainCode(server, client, account.email, { scope: 'email', nonce: '' }, person),
    );
    const narrow = await userinfo(`Bearer ${body.access_token}`);
    expect([narrow.status, narrow.json.error]).toEqual([403, 'insufficient_scope']);
    expect(narrow.headers['www-authenticate']).toMatch(/error="insufficient_scope".*scope="openid"/);
  });

  it('28. an ID token and a refresh token are no access tokens', async () => {
    const { body } = await redeemCode(server, client, await obtainCode(server, client, account.email, {}, person));
    for (const text of [body.id_token!, body.refresh_token!]) {
      for (const value of [text, `jwt~${text}`]) {
        const answer = await userinfo(`Bearer ${value}`);
        expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token']);
      }
    }
  });

  it('29. no scope goes beyond what the client may have', async () => {
    const modest = await server.client({ scope: 'openid things:read' });
    const wanted = { scope: 'openid email things:read memory:write', resource: OTHER_API };
    await expect(open(modest, wanted)).rejects.toThrow('error=invalid_scope');
    const own = await open(modest, { scope: 'openid' });
    const info = await userinfo(`Bearer ${own.accessToken}`);
    expect([info.json.sub, info.json.email]).toEqual([account.id, undefined]);
    const machine = await server.client({ ...MACHINE, scope: 'things:read' });
    const asked = { grant_type: 'client_credentials', resource: ownApi, scope: 'memory:read' };
    const answer = await requestToken(server, machine, asked);
    expect([answer.body.error, answer.body.access_token]).toEqual(['invalid_scope', undefined]);
  });

  it('30. the refresh token of a public client rotates', async () => {
    const first = await open(app);
    const second = await refresh(server, app, first.refreshToken);
    expect(second.status).toBe(200);
    expect(second.body.refresh_token).not.toBe(first.refreshToken);
    const third = await refresh(server, app, second.body.refresh_token!);
    expect(third.body.refresh_token).not.toBe(second.body.refresh_token);
  });

  it.each(['public', 'confidential'])(
    '31. a rotated token of a %s client that comes again ends the family',
    async (kind) => {
      const from = kind === 'public' ? app : client;
      const first = await open(from);
      const second = await refresh(server, from, first.refreshToken);
      const third = await refresh(server, from, second.body.refresh_token!);
      expect(await isActive(server, third.body.access_token!)).toBe(true);
      expect((await refresh(server, from, first.refreshToken)).body.error).toBe('invalid_grant');
      for (const { body } of [second, third]) {
        expect(await isActive(server, body.access_token!)).toBe(false);
        expect((await refresh(server, from, body.refresh_token!)).body.error).toBe('invalid_grant');
      }
    },
  );

  it('31. a token that a retry replaced ends the family too, once nobody can be retrying any more', async () => {
    const first = await open(app);
    const lost = await refresh(server, app, first.refreshToken);
    const retried = await refresh(server, app, first.refreshToken);
    expect([lost.status, retried.status]).toEqual([200, 200]);
    expect(await isActive(server, lost.body.access_token!)).toBe(false);
    expect(await isActive(server, retried.body.access_token!)).toBe(true);
    aheadMs = PAST_RETRIES_MS;
    try {
      expect((await refresh(server, app, lost.body.refresh_token!)).body.error).toBe('invalid_grant');
      expect(await isActive(server, retried.body.access_token!)).toBe(false);
      expect((await refresh(server, app, retried.body.refresh_token!)).body.error).toBe('invalid_grant');
    } finally {
      aheadMs = 0;
    }
  });

  it('32. a refresh cannot widen what was consented to', async () => {
    const { refreshToken } = await open(client, { scope: 'openid things:read', resource: OTHER_API });
    const wider = await refresh(server, client, refreshToken, { scope: 'openid email things:read' });
    expect(wider.body.error).toBe('invalid_scope');
    const otherBrowser = await refresh(server, client, refreshToken, { resource: ownApi });
    expect(otherBrowser.body.error).toBe('invalid_target');
    const unknown = await refresh(server, client, refreshToken, { resource: 'https://unknown.example' });
    expect(unknown.body.error).toBe('invalid_target');
    const same = await refresh(server, client, refreshToken, { resource: OTHER_API });
    expect(decodeJwt(same.body.access_token!).scope).toBe('things:read'); // and those tries did not spend it
  });

  it('33. a refresh token is bound to its client', async () => {
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

  it('34. a refresh token ends when it is not used, and with the login that it came from', async () => {
    const idle = await open(client);
    aheadMs = 8 * 86_400_000; // REFRESH_TOKEN_TTL is 7d
    try {
      expect((await refresh(server, client, idle.refreshToken)).body.error).toBe('invalid_grant');
    } finally {
      aheadMs = 0;
    }
    const browser = new Browser(server.origin);
    const family = await openTokenFamily(server, client, account.email, {}, browser);
    await browser.submit(await browser.open('/logout'));
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, family.accessToken)).toBe(false);
  });

  it('35. a token in which one bit was changed is nothing', async () => {
    const family = await open(client, { scope: 'openid memory:read', resource: ownApi });
    const { refreshToken, accessToken } = family;
    for (const place of [0, Math.floor(refreshToken.length / 2), refreshToken.length - 1]) {
      const changed = flip(refreshToken, place);
      expect((await refresh(server, client, changed)).body.error).toBe('invalid_grant');
    }
    for (const place of [3, accessToken.indexOf('.') + 5, accessToken.lastIndexOf('.') + 5]) {
      expect((await introspect(server, client, flip(accessToken, place))).body).toEqual({ active: false });
    }
    expect((await introspect(server, client, accessToken)).body.active).toBe(true);
    expect((await refresh(server, client, refreshToken, { resource: ownApi })).status).toBe(200);
  });

  it('36. whether a client gets refresh tokens is decided for each client', async () => {
    const without = await server.client({ grant_types: ['authorization_code'] });
    for (const scope of ['openid', 'openid offline_access']) {
      const answer = await redeemCode(
        server,
        without,
        await obtainCode(server, without, account.email, { scope, prompt: 'consent' }, person),
      );
      expect([answer.status, answer.body.refresh_token]).toEqual([200, undefined]);
    }
    expect((await open(client)).refreshToken).toEqual(expect.any(String));
    const machine = await server.client(MACHINE);
    const answer = await requestToken(server, machine, { grant_type: 'client_credentials' });
    expect([answer.status, answer.body.refresh_token]).toEqual([200, undefined]);
  });

  it("37. no client can take a person's number for its own", async () => {
    const { json } = await requestRegistration(server, { client_id: account.id });
    expect(json.client_id).not.toBe(account.id);
    const { json: named } = await requestRegistration(server, { client_id: 'admin', sub: account.id });
    expect(named.client_id).toMatch(/^[\da-f]{8}-[\da-f-]{27}$/);
    expect(named.client_id).not.toBe('admin');
  });

  it('37. the token of a client without a person is known as one', async () => {
    const machine = await server.client(MACHINE);
    const opaque = await requestToken(server, machine, { grant_type: 'client_credentials' });
    const asked = { grant_type: 'client_credentials', resource: ownApi, scope: 'memory:read' };
    const jwt = await requestToken(server, machine, asked);
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

  it('nobody learns or ends anything of a token by its name alone', async () => {
    const { accessToken } = await open(client);
    const nobody = await postForm(server, '/oauth/introspect', { token: accessToken });
    expect(nobody.status).toBe(400);
    const bearer = { authorization: `Bearer ${accessToken}` };
    expect((await postForm(server, '/oauth/introspect', { token: accessToken }, { headers: bearer })).text).not.toMatch(
      'true',
    );
    const other = await server.client();
    const theft = await postForm(
      server,
      '/oauth/revoke',
      { token: accessToken },
      { headers: { authorization: basicAuth(other) } },
    );
    expect(theft.status).toBe(400);
    expect(await isActive(server, accessToken)).toBe(true);
  });

  it('a proof made for the token endpoint is nothing at userinfo', async () => {
    const { accessToken } = await open(client);
    const proof = await dpop(await makeKey(), { htm: 'POST', htu: `${server.issuer}/oauth/token`, accessToken });
    expect((await userinfo(`DPoP ${accessToken}`, { dpop: proof })).status).toBeGreaterThanOrEqual(400);
  });
});

/**
 * Another letter in that place; the lowest bits of a last one may be unused, so it is changed in
 * its highest.
 */
function flip(text: string, place: number): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const other = alphabet[(alphabet.indexOf(text[place]!) + 32) % 64];
  return `${text.slice(0, place)}${other}${text.slice(place + 1)}`;
}
