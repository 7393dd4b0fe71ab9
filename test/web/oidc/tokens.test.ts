// Introspection (RFC 7662), revocation (RFC 7009) and the lifetime of tokens.
import { randomUUID } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, generateKeyPair, type ProtectedHeaderParameters, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { suspendAccount } from '../../support/accounts.js';
import { Browser } from '../../support/browser.js';
import { registerDynamically } from '../../support/registration.js';
import {
  isActive,
  obtainCode,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
} from '../../support/relying-party.js';
import { postForm, sendRequest } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily, revoke } from '../../support/token-family.js';

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe.each(stores)('tokens on $name', (store) => {
  let server: TestServer;
  let client: TestClient;
  let machine: TestClient;
  let email: string;
  let resource: string;
  beforeAll(async () => {
    server = await startServer({ store });
    client = await server.client();
    machine = await server.client({ redirect_uris: [], grant_types: ['client_credentials'] });
    ({ email } = await server.account());
    resource = `${server.issuer}/api/v1`;
  });
  afterAll(() => server.close());

  /** Opens a token family whose access tokens are JWTs. */
  const openJwtFamily = () => openTokenFamily(server, client, email, { scope: 'openid memory:read', resource });
  const redeemNewCode = async () => redeemCode(server, client, await obtainCode(server, client, email));
  const logOut = async (browser: Browser) => browser.submit(await browser.open('/logout'));

  describe('introspection', () => {
    it('describes a JWT like any other token', async () => {
      const { accessToken } = await openJwtFamily();
      const { status, body } = await introspect(server, client, accessToken);
      expect(status).toBe(200);
      const { sub, exp, iat, gid, sid } = decodeJwt(accessToken);
      expect([typeof gid, typeof sid]).toEqual(['string', 'string']);
      const expected = { client_id: client.id, aud: resource, scope: 'memory:read', iss: server.issuer, sub, exp, iat };
      expect(body).toMatchObject({ active: true, ...expected });
    });

    it('reports ID tokens and forged, unsigned or altered JWTs as inactive', async () => {
      const { accessToken } = await openJwtFamily();
      const { body } = await redeemNewCode();
      const [header, payload, signature] = accessToken.split('.') as [string, string, string];
      const claims = decodeJwt(accessToken);
      const { privateKey } = await generateKeyPair('ES256');
      const forged = await new SignJWT({ ...claims, jti: randomUUID() })
        .setProtectedHeader(decodeProtectedHeader(accessToken) as ProtectedHeaderParameters & { alg: string })
        .sign(privateKey);
      const unsigned = `${base64url({ alg: 'none', typ: 'at+jwt' })}.${payload}.`;
      const altered = `${header}.${base64url({ ...claims, scope: 'agent:write' })}.${signature}`;
      for (const jwt of [body.id_token!, forged, unsigned, altered]) {
        expect((await introspect(server, client, jwt)).body).toEqual({ active: false });
      }
    });

    it('tells a self-registered client about its own tokens only', async () => {
      const registered = await registerDynamically(server, { grant_types: ['authorization_code', 'refresh_token'] });
      const own = await openTokenFamily(server, registered, email);
      const other = await openTokenFamily(server, client, email);
      const otherJwt = await openJwtFamily();
      for (const token of [other.accessToken, other.refreshToken, otherJwt.accessToken]) {
        expect((await introspect(server, registered, token)).body).toEqual({ active: false });
      }
      expect((await introspect(server, registered, own.accessToken)).body.active).toBe(true);
    });

    it('tells a client created by an administrator about all tokens', async () => {
      const registered = await registerDynamically(server, { grant_types: ['authorization_code', 'refresh_token'] });
      const { accessToken } = await openTokenFamily(server, registered, email);
      expect((await introspect(server, client, accessToken)).body.active).toBe(true);
    });

    it('requires client authentication', async () => {
      const { accessToken } = await openTokenFamily(server, client, email);
      const { status } = await postForm(server, '/oauth/introspect', { token: accessToken });
      expect(status).toBeGreaterThanOrEqual(400);
    });
  });

  describe('revocation', () => {
    it('of a JWT access token leaves the token family active', async () => {
      const family = await openJwtFamily();
      expect((await revoke(server, client, family.accessToken)).status).toBe(200);
      expect((await introspect(server, client, family.accessToken)).body).toEqual({ active: false });
      const renewed = await refresh(server, client, family.refreshToken, { resource });
      expect((await introspect(server, client, renewed.body.access_token!)).body.active).toBe(true);
    });

    it('of a refresh token revokes the access token too', async () => {
      const family = await openJwtFamily();
      expect((await revoke(server, client, family.refreshToken)).status).toBe(200);
      expect((await introspect(server, client, family.accessToken)).body).toEqual({ active: false });
    });

    it('of an opaque access token leaves the token family active', async () => {
      const family = await openTokenFamily(server, client, email);
      await revoke(server, client, family.accessToken);
      expect(await isActive(server, family.accessToken)).toBe(false);
      expect((await refresh(server, client, family.refreshToken)).status).toBe(200);
    });

    it.each([
      ['an opaque', () => ({})],
      ['a JWT', () => ({ resource, scope: 'memory:read' })],
    ])('works for %s client credentials token', async (_format, params: () => Record<string, string>) => {
      const { body } = await requestToken(server, machine, { grant_type: 'client_credentials', ...params() });
      const before = await introspect(server, machine, body.access_token!);
      expect(before.body).toMatchObject({ active: true, client_id: machine.id });
      await revoke(server, machine, body.access_token!);
      expect((await introspect(server, machine, body.access_token!)).body).toEqual({ active: false });
    });

    it('does not affect the tokens of another client', async () => {
      const otherClient = await server.client();
      for (const family of [await openTokenFamily(server, client, email), await openJwtFamily()]) {
        for (const token of [family.accessToken, family.refreshToken]) {
          expect((await revoke(server, otherClient, token)).status).toBeLessThan(500);
          expect((await introspect(server, client, token)).body.active).toBe(true);
        }
      }
    });
  });

  it.each([
    'garbage',
    'a.b.c',
    'eyJhbGciOiJub25lIn0.e30.',
    'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AAAA',
    '..',
    'jwt~a.b.c',
    `~${'A'.repeat(43)}.${'A'.repeat(43)}`,
    'x'.repeat(10_000),
    '\u0000',
    "' OR 1=1 --",
  ])('reports the malformed token %j as inactive, and accepts its revocation', async (token) => {
    expect(await introspect(server, client, token)).toEqual({ status: 200, body: { active: false } });
    expect((await revoke(server, client, token)).status).toBe(200);
  });

  it('rejects JWTs and refresh tokens at userinfo, with any prefix', async () => {
    const { accessToken } = await openJwtFamily();
    const { id_token: idToken = '', refresh_token: refreshToken = '' } = (await redeemNewCode()).body;
    for (const token of [accessToken, `jwt~${accessToken}`, idToken, `jwt~${idToken}`, refreshToken])
      expect(await isActive(server, token), token).toBe(false);
  });

  it('rejects an access token in the query string', async () => {
    const { accessToken } = await openTokenFamily(server, client, email);
    const { status } = await sendRequest(server, 'GET', `/oauth/userinfo?access_token=${accessToken}`);
    expect(status).toBe(400);
    expect(await isActive(server, accessToken)).toBe(true);
  });

  it('invalidates all tokens of a user who is suspended', async () => {
    const { email, id } = await server.account();
    const opaque = await openTokenFamily(server, client, email);
    const jwt = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource });
    await suspendAccount(server, id);
    await revokeAllSessions(server, id, 'suspended');
    expect(await isActive(server, opaque.accessToken)).toBe(false);
    expect((await introspect(server, client, jwt.accessToken)).body).toEqual({ active: false });
    for (const { refreshToken } of [opaque, jwt]) {
      expect((await refresh(server, client, refreshToken)).body.error).toBe('invalid_grant');
    }
  });

  it('revokes the token family when the user signs out', async () => {
    const browser = new Browser(server.origin);
    const family = await openTokenFamily(server, client, email, { scope: 'openid' }, browser);
    await logOut(browser);
    expect((await refresh(server, client, family.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, family.accessToken)).toBe(false);
  });

  it('keeps a token family with offline_access when the user signs out', async () => {
    const browser = new Browser(server.origin);
    const offline = { scope: 'openid offline_access', prompt: 'consent' };
    const family = await openTokenFamily(server, client, email, offline, browser);
    await logOut(browser);
    expect((await refresh(server, client, family.refreshToken)).status).toBe(200);
  });

  it('does not grant offline_access without prompt=consent', async () => {
    const browser = new Browser(server.origin);
    const app = await server.client();
    const family = await openTokenFamily(server, app, email, { scope: 'openid offline_access' }, browser);
    await logOut(browser);
    expect((await refresh(server, app, family.refreshToken)).body.error).toBe('invalid_grant');
  });

  it('sends no-store with tokens, and no content type with an empty revocation response', async () => {
    const response = await redeemNewCode();
    expect(response.headers['cache-control']).toBe('no-store');
    const revoked = await revoke(server, client, response.body.access_token!);
    expect(revoked.text).toBe('');
    expect(revoked.headers['content-type']?.startsWith('text/plain') ?? false).toBe(false);
  });

  it('accepts tokens signed before a key rotation, and rejects them after an immediate one', async () => {
    const before = await openJwtFamily();
    await server.core.keys.rotate();
    expect((await introspect(server, client, before.accessToken)).body.active).toBe(true);
    const { keys } = (await sendRequest(server, 'GET', '/oauth/jwks')).json as { keys: object[] };
    expect(keys).toHaveLength(4);
    expect(keys.filter((key) => 'd' in key || 'p' in key)).toEqual([]);
    await server.core.keys.rotate({ atOnce: true });
    const after = await openJwtFamily();
    expect(decodeProtectedHeader(after.accessToken).kid).not.toBe(decodeProtectedHeader(before.accessToken).kid);
    expect((await introspect(server, client, before.accessToken)).body).toEqual({ active: false });
    expect((await introspect(server, client, after.accessToken)).body.active).toBe(true);
  });

  it('issues tokens even if recording an audit event throws', async () => {
    const { audit } = server.core;
    const { recordSoon } = audit;
    const obtained = await obtainCode(server, client, email);
    audit.recordSoon = () => {
      throw new Error('the audit log is broken');
    };
    try {
      expect((await redeemCode(server, client, obtained)).status).toBe(200);
      expect((await redeemCode(server, client, { ...obtained, code: 'unknown' })).body.error).toBe('invalid_grant');
    } finally {
      audit.recordSoon = recordSoon;
    }
  });
});
