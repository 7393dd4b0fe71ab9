// Issued tokens: introspection, revocation, and that no secret is stored.
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Browser } from '../../support/browser.js';
import {
  authorizeUrl,
  isActive,
  obtainCode,
  pkce,
  redeemCode,
  refresh,
  requestToken,
  type TestClient,
} from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';
import { revokeAllSessions } from '../../support/sessions.js';
import { stores } from '../../support/stores.js';
import { introspect, openTokenFamily, revoke } from '../../support/token-family.js';

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

  const openJwtFamily = (browser?: Browser) =>
    openTokenFamily(server, client, email, { scope: 'openid memory:read', resource }, browser);
  const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString());

  it('introspects a JWT like any other token', async () => {
    const { accessToken } = await openJwtFamily();
    const { status, body } = await introspect(server, client, accessToken);
    expect(status).toBe(200);
    const { sub, exp, iat, gid, sid } = claimsOf(accessToken);
    expect([typeof gid, typeof sid]).toEqual(['string', 'string']);
    const known = { client_id: client.id, aud: resource, scope: 'memory:read', iss: server.issuer, sub, exp, iat };
    expect(body).toMatchObject({ active: true, ...known });
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
  ])('calls %j not active, and revokes it without a word', async (text) => {
    expect(await introspect(server, client, text)).toEqual({ status: 200, body: { active: false } });
    expect((await revoke(server, client, text)).status).toBe(200);
  });

  it('reports forged, external and other JWTs as not active', async () => {
    const { accessToken } = await openJwtFamily();
    const answer = await redeemCode(server, client, await obtainCode(server, client, email));
    const [head, body, signature] = accessToken.split('.') as [string, string, string];
    const claims = claimsOf(accessToken);
    const { privateKey } = await generateKeyPair('ES256');
    const header = JSON.parse(Buffer.from(head, 'base64url').toString());
    const forged = await new SignJWT({ ...claims, jti: randomUUID() }).setProtectedHeader(header).sign(privateKey);
    const unsigned = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${body}.`;
    const altered = `${head}.${Buffer.from(JSON.stringify({ ...claims, scope: 'agent:write' })).toString('base64url')}.${signature}`;
    for (const jwt of [answer.body.id_token!, forged, unsigned, altered]) {
      expect((await introspect(server, client, jwt)).body).toEqual({ active: false });
    }
  });

  it('rejects a JWT at userinfo, with any prefix', async () => {
    const { accessToken } = await openJwtFamily();
    expect(await isActive(server, accessToken)).toBe(false);
    expect(await isActive(server, `jwt~${accessToken}`)).toBe(false);
    const answer = await redeemCode(server, client, await obtainCode(server, client, email));
    expect(await isActive(server, answer.body.id_token!)).toBe(false);
    expect(await isActive(server, `jwt~${answer.body.id_token}`)).toBe(false);
    expect(await isActive(server, answer.body.refresh_token!)).toBe(false);
  });

  it('rejects a token in the query string', async () => {
    const { accessToken } = await openTokenFamily(server, client, email);
    const response = await fetch(`${server.origin}/oauth/userinfo?access_token=${accessToken}`);
    expect(response.status).toBe(400);
    expect(await isActive(server, accessToken)).toBe(true);
  });

  it('revokes a JWT, and no other token', async () => {
    const family = await openJwtFamily();
    const response = await revoke(server, client, family.accessToken);
    expect(response.status).toBe(200);
    expect((await introspect(server, client, family.accessToken)).body).toEqual({ active: false });
    const renewed = await refresh(server, client, family.refreshToken, { resource });
    expect((await introspect(server, client, renewed.body.access_token!)).body.active).toBe(true);
    expect((await revoke(server, client, renewed.body.refresh_token!)).status).toBe(200);
    expect((await introspect(server, client, renewed.body.access_token!)).body).toEqual({ active: false });
  });

  it('revokes an opaque token, and a client credentials token', async () => {
    const family = await openTokenFamily(server, client, email);
    await revoke(server, client, family.accessToken);
    expect(await isActive(server, family.accessToken)).toBe(false);
    expect((await refresh(server, client, family.refreshToken)).status).toBe(200);
    for (const more of [{}, { resource, scope: 'memory:read' }] as Record<string, string>[]) {
      const { body } = await requestToken(server, machine, { grant_type: 'client_credentials', ...more });
      expect((await introspect(server, machine, body.access_token!)).body).toMatchObject({
        active: true,
        client_id: machine.id,
      });
      await revoke(server, machine, body.access_token!);
      expect((await introspect(server, machine, body.access_token!)).body).toEqual({ active: false });
    }
  });

  it('does not revoke the tokens of another client', async () => {
    const stranger = await server.client();
    for (const family of [await openTokenFamily(server, client, email), await openJwtFamily()]) {
      for (const text of [family.accessToken, family.refreshToken]) {
        const { status } = await revoke(server, stranger, text);
        expect(status).toBeLessThan(500);
        expect((await introspect(server, client, text)).body.active).toBe(true);
      }
    }
  });

  it('lets a self-registered client introspect its own tokens only', async () => {
    const response = await fetch(`${server.origin}/oauth/clients/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        redirect_uris: ['https://acme.example/cb'],
        grant_types: ['authorization_code', 'refresh_token'],
      }),
    });
    const made = (await response.json()) as { client_id: string; client_secret: string };
    const registered = { id: made.client_id, secret: made.client_secret };
    const [foreign, own, jwt] = [
      await openTokenFamily(server, client, email),
      await openTokenFamily(server, registered, email),
      await openJwtFamily(),
    ];
    for (const text of [foreign.accessToken, foreign.refreshToken, jwt.accessToken]) {
      expect((await introspect(server, registered, text)).body).toEqual({ active: false });
    }
    expect((await introspect(server, registered, own.accessToken)).body.active).toBe(true);
    expect((await introspect(server, client, own.accessToken)).body.active).toBe(true); // a resource server created by an admin
    const anonymous = await fetch(`${server.origin}/oauth/introspect`, {
      method: 'POST',
      body: new URLSearchParams({ token: own.accessToken }),
    });
    expect(anonymous.status).toBeGreaterThanOrEqual(400);
  });

  it('deactivates all tokens of a suspended user at once', async () => {
    const { email, id } = await server.account();
    const opaque = await openTokenFamily(server, client, email);
    const jwt = await openTokenFamily(server, client, email, { scope: 'openid memory:read', resource });
    await server.base.db.account.update({ where: { id }, data: { status: 'suspended' } });
    await revokeAllSessions(server, id, 'suspended');
    expect(await isActive(server, opaque.accessToken)).toBe(false);
    expect((await introspect(server, client, jwt.accessToken)).body).toEqual({ active: false });
    for (const { refreshToken } of [opaque, jwt]) {
      expect((await refresh(server, client, refreshToken)).body.error).toBe('invalid_grant');
    }
  });

  it('keeps offline grants after signing out, and revokes all others', async () => {
    const { email } = await server.account();
    const signOut = async (browser: Browser) => browser.submit(await browser.open('/logout'));
    const offline = new Browser(server.origin);
    const kept = await openTokenFamily(
      server,
      client,
      email,
      { scope: 'openid offline_access', prompt: 'consent' },
      offline,
    );
    await signOut(offline);
    expect((await refresh(server, client, kept.refreshToken)).status).toBe(200);
    const online = new Browser(server.origin);
    const ended = await openTokenFamily(server, client, email, { scope: 'openid' }, online);
    await signOut(online);
    expect((await refresh(server, client, ended.refreshToken)).body.error).toBe('invalid_grant');
    expect(await isActive(server, ended.accessToken)).toBe(false);
  });

  it('does not grant offline access without the consent page', async () => {
    const { email } = await server.account();
    const browser = new Browser(server.origin);
    const app = await server.client();
    const family = await openTokenFamily(server, app, email, { scope: 'openid offline_access' }, browser);
    await browser.submit(await browser.open('/logout'));
    expect((await refresh(server, app, family.refreshToken)).body.error).toBe('invalid_grant');
  });

  it('sends no-store with every token, and no content type with a revocation', async () => {
    const answer = await redeemCode(server, client, await obtainCode(server, client, email));
    expect(answer.headers['cache-control']).toBe('no-store');
    const revoked = await revoke(server, client, answer.body.access_token!);
    expect(revoked.text).toBe('');
    expect(revoked.headers['content-type']?.startsWith('text/plain') ?? false).toBe(false);
  });

  it('accepts old and new tokens after a key rotation', async () => {
    const before = await openJwtFamily();
    await server.core.keys.rotate();
    expect((await introspect(server, client, before.accessToken)).body.active).toBe(true);
    const published = (await (await fetch(`${server.origin}/oauth/jwks`)).json()) as {
      keys: { kid: string; d?: string }[];
    };
    expect(published.keys).toHaveLength(4);
    expect(published.keys.filter((key) => 'd' in key || 'p' in key)).toEqual([]);
    await server.core.keys.rotate({ atOnce: true });
    const after = await openJwtFamily();
    const kid = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0]!, 'base64url').toString()).kid;
    expect(kid(after.accessToken)).not.toBe(kid(before.accessToken));
    expect((await introspect(server, client, before.accessToken)).body).toEqual({ active: false });
    expect((await introspect(server, client, after.accessToken)).body.active).toBe(true);
  });

  it('never responds 500 to unknown, expired or malformed tokens', async () => {
    const paths: [method: string, path: string, body?: string][] = [
      ['GET', '/oauth/authorize'],
      ['GET', '/oauth/authorize?client_id=%00&redirect_uri=%00'],
      ['GET', '/oauth/authorize/unknown'],
      ['GET', '/interaction/unknown'],
      ['POST', '/interaction/unknown', 'csrf=x&decision=allow'],
      ['GET', '/device?user_code=XXXX-XXXX'],
      ['GET', '/device/unknown'],
      ['POST', '/device', 'user_code=XXXX&xsrf=x'],
      ['GET', '/oauth/logout?id_token_hint=garbage'],
      ['GET', '/oauth/logout?post_logout_redirect_uri=https://evil.example'],
      ['POST', '/oauth/logout/confirm', 'xsrf=x&logout=yes'],
      ['GET', '/oauth/logout/success?client_id=unknown'],
      ['GET', '/oauth/userinfo'],
      ['POST', '/oauth/userinfo', 'access_token=x'],
      ['POST', '/api/v1/oauth/token', ''],
      ['POST', '/api/v1/oauth/token', 'grant_type=__proto__'],
      ['POST', '/api/v1/oauth/token', 'client_id=%00&grant_type=authorization_code'],
      ['POST', '/device', 'user_code=%00&xsrf=x'],
      [
        'GET',
        new URL(authorizeUrl(server, client, pkce().challenge, { state: 'a\u0000b' })).href.slice(server.origin.length),
      ],
      ['POST', '/api/v1/oauth/token', 'grant_type=authorization_code&grant_type=authorization_code'],
      ['POST', '/oauth/token', 'grant_type=password&username=a&password=b'],
      ['POST', '/oauth/introspect', 'token=x'],
      ['POST', '/oauth/revoke', 'token=x'],
      ['POST', '/oauth/par', 'client_id=x'],
      ['POST', '/oauth/device', 'client_id=x'],
      ['GET', '/oauth/clients/register/unknown'],
      ['PUT', '/oauth/clients/register/unknown', '{}'],
      ['DELETE', '/oauth/clients/register/unknown'],
      ['GET', '/%'],
      ['GET', '/..%2f..%2fetc/passwd'],
      ['GET', '/login?return_to=//evil.example&app=x&proof=y'],
      ['GET', '/setup?token=unknown'],
      ['POST', '/login', 'csrf=x&email=a&password=b'],
      ['PATCH', '/login'],
      [
        'GET',
        `/oauth/authorize?${new URLSearchParams({ client_id: client.id, request_uri: 'urn:ietf:params:oauth:request_uri:gone' })}`,
      ],
      ['GET', `/oauth/authorize?${new URLSearchParams({ client_id: client.id, resource: 'x', claims: '{' })}`],
    ];
    for (const [method, path, body] of paths) {
      const headers = { ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }) };
      const response = await fetch(`${server.origin}${path}`, { method, body, headers, redirect: 'manual' });
      const text = await response.text();
      expect(response.status, `${method} ${path}: ${text}`).toBeLessThan(500);
      expect(response.headers.get('x-content-type-options'), path).toBe('nosniff');
      expect(text, path).not.toMatch(/\bat .*\.(js|ts):\d+/);
      const location = response.headers.get('location');
      if (location) expect(new URL(location, server.origin).hostname, path).not.toBe('evil.example');
    }
  });

  it.each([
    '/api/v1/oauth/token',
    '/oauth/token',
    '/oauth/introspect',
    '/oauth/revoke',
    '/oauth/par',
    '/oauth/device',
    '/oauth/authorize',
    '/oauth/logout',
    '/oauth/clients/register',
    '/device',
    '/login',
    '/register',
  ])('refuses a body of 10 MB at %s with 413, announced or not', async (path) => {
    const type =
      path.endsWith('register') && path !== '/register' ? 'application/json' : 'application/x-www-form-urlencoded';
    for (const announced of [true, false]) {
      expect(await postLong(server.port, path, type, announced), announced ? 'announced' : 'in chunks').toBe(413);
    }
  });

  it('stores no secret: not a code, token, password, cookie or key', async () => {
    const secrets: Record<string, string> = { password: PASSWORD, clientSecret: client.secret };
    const browser = new Browser(server.origin);
    const { verifier, challenge } = pkce();
    const start = await browser.open(authorizeUrl(server, client, challenge));
    const remember = () => {
      for (const [name, { value }] of browser.cookies) secrets[`cookie ${name} ${value.slice(0, 4)}`] = value;
    };
    remember();
    const { code } = await obtainCode(server, client, email, {}, browser);
    remember();
    const waiting = await obtainCode(server, client, email, {}, browser);
    const opaque = await redeemCode(server, client, waiting);
    const jwt = await openJwtFamily(browser);
    const renewed = await refresh(server, client, jwt.refreshToken, { resource });
    const machineToken = await requestToken(server, machine, { grant_type: 'client_credentials' });
    const setupToken = await server.core.bootstrap.createToken();
    const made = (await (
      await fetch(`${server.origin}/oauth/clients/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: ['https://a.example/cb'] }),
      })
    ).json()) as Record<string, string>;
    const pushed = (await (
      await fetch(`${server.origin}/oauth/par`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}` },
        body: new URL(authorizeUrl(server, client, challenge)).searchParams,
      })
    ).json()) as { request_uri: string };
    const begun = (await (
      await fetch(`${server.origin}/oauth/device`, {
        method: 'POST',
        body: new URLSearchParams({
          client_id: (
            await server.client({
              redirect_uris: [],
              grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
              token_endpoint_auth_method: 'none',
            })
          ).id,
        }),
      })
    ).json()) as { device_code: string };
    await new Browser(server.origin).signIn(email, 'a password that is wrong');
    expect(start.url.pathname).toBe('/login');
    Object.assign(secrets, {
      code,
      usedCode: waiting.code,
      verifier,
      accessToken: opaque.body.access_token,
      refreshToken: opaque.body.refresh_token,
      idToken: opaque.body.id_token,
      jwt: jwt.accessToken,
      renewedRefresh: renewed.body.refresh_token,
      renewedJwt: renewed.body.access_token,
      machineToken: machineToken.body.access_token,
      setupToken,
      registeredSecret: made.client_secret,
      registrationToken: made.registration_access_token,
      requestUri: pushed.request_uri.split(':').at(-1),
      deviceCode: begun.device_code,
      wrongPassword: 'a password that is wrong',
      signingKey: server.core.keys.signer('ES256').jwk.d,
    });
    await server.core.audit.flush();
    const dump = await everything(server);
    expect(dump.length).toBeGreaterThan(5000);
    for (const [name, secret] of Object.entries(secrets)) {
      expect(secret, name).toBeTruthy();
      // The id of an interaction is stored, but useless without its signature in a separate cookie.
      if (/^cookie signet_(interaction|resume) /.test(name)) continue;
      expect(dump.includes(secret), `${name} is stored`).toBe(false);
      expect(server.lines.join('\n').includes(secret), `${name} is logged`).toBe(false);
    }
  });

  it('responds when an event listener throws', async () => {
    const { audit } = server.core;
    const { recordSoon } = audit;
    const obtained = await obtainCode(server, client, email);
    audit.recordSoon = () => {
      throw new Error('the trail is broken');
    };
    try {
      expect((await redeemCode(server, client, obtained)).status).toBe(200);
      expect((await redeemCode(server, client, { ...obtained, code: 'unknown' })).body.error).toBe('invalid_grant');
    } finally {
      audit.recordSoon = recordSoon;
    }
  });
});

/** All that the house has stored, as text. */
async function everything({ base: { db, redis }, config }: TestServer): Promise<string> {
  const tables = [
    db.account,
    db.session,
    db.client,
    db.consent,
    db.grant,
    db.refreshToken,
    db.oidcArtifact,
    db.oneTimeToken,
    db.signingKey,
    db.auditEvent,
    db.rateLimit,
  ] as unknown as { findMany(): Promise<object[]> }[];
  const rows = await Promise.all(tables.map((table) => table.findMany()));
  const keys = redis ? await redis.keys(`${config.redisPrefix}*`) : [];
  const values = await Promise.all(
    keys.map(async (key) => [
      key,
      (await redis!.type(key)) === 'hash' ? await redis!.hgetall(key) : await redis!.get(key),
    ]),
  );
  return JSON.stringify([rows, values], (_key, value) => (typeof value === 'bigint' ? String(value) : value));
}

/**
 * The status that a body of 10 MB is answered with; the connection may be closed before all of it
 * is sent.
 */
function postLong(port: number, path: string, type: string, announced: boolean): Promise<number> {
  const body = Buffer.alloc(10_000_000, 'x');
  return new Promise((resolve, reject) => {
    let status = 0;
    const headers = { 'content-type': type, ...(announced && { 'content-length': body.length }) };
    const asked = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
      status = response.statusCode!;
      response.resume();
      resolve(status);
    });
    asked.on('error', (error) => (status ? undefined : reject(error)));
    asked.write(body.subarray(0, 5_000_000));
    asked.end(body.subarray(5_000_000));
  });
}
