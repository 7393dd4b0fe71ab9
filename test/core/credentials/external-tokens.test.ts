// Tokens of trusted external issuers as credentials: the account, the access, and rejected tokens.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/core/request-meta.js';
import { AUDIENCE, epochSeconds, generateSigningPair, openIssuer, signToken } from '../../support/external-issuer.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const ISSUER = 'https://auth.example';
const SECRET = 'a secret that two systems share, 1';
const secretKey = new TextEncoder().encode(SECRET);

const rsa = await generateSigningPair('RS256');
const ec = await generateSigningPair('ES256', 'key-2');
const others = await generateSigningPair('RS256');
const provider = await openIssuer(rsa, ec);
afterAll(() => provider.close());

type Make = (claims?: JWTPayload, header?: Record<string, unknown>) => Promise<string>;

/** The settings that trust an issuer, and a function that signs its tokens. */
const ways: { name: string; settings: Record<string, string>; issuer: string; sign: Make }[] = [
  {
    name: 'JWT_SECRET',
    settings: { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE },
    issuer: ISSUER,
    sign: (claims, header) => signToken(secretKey, 'HS256', { iss: ISSUER, ...claims }, header),
  },
  {
    name: 'JWT_PUBLIC_KEY of RSA',
    settings: { JWT_PUBLIC_KEY: rsa.pem, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE },
    issuer: ISSUER,
    sign: (claims, header) => signToken(rsa.privateKey, 'RS256', { iss: ISSUER, ...claims }, header),
  },
  {
    name: 'JWT_PUBLIC_KEY of EC, on one line',
    settings: { JWT_PUBLIC_KEY: ec.pem.replaceAll('\n', '\\n'), JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE },
    issuer: ISSUER,
    sign: (claims, header) => signToken(ec.privateKey, 'ES256', { iss: ISSUER, ...claims }, header),
  },
  {
    name: 'OIDC_ISSUER with RS256',
    settings: { OIDC_ISSUER: provider.issuer, OIDC_AUDIENCE: AUDIENCE },
    issuer: provider.issuer,
    sign: (claims, header) =>
      signToken(rsa.privateKey, 'RS256', { iss: provider.issuer, ...claims }, { kid: rsa.kid, ...header }),
  },
  {
    name: 'OIDC_ISSUER with ES256',
    settings: { OIDC_ISSUER: provider.issuer, OIDC_AUDIENCE: AUDIENCE },
    issuer: provider.issuer,
    sign: (claims, header) =>
      signToken(ec.privateKey, 'ES256', { iss: provider.issuer, ...claims }, { kid: ec.kid, ...header }),
  },
];

async function ask({ origin }: Pick<TestServer, 'origin'>, token: string, path = '/api/v1/auth/me', method = 'GET') {
  const response = await fetch(origin + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(method !== 'GET' && { 'content-type': 'application/json' }) },
    ...(method !== 'GET' && { body: '{}' }),
  });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, error: body.error, id: body.id };
}

async function linkedAccount(server: TestServer, issuer: string, subject: string) {
  const account = await server.account();
  await server.core.identities.linkByAdmin(account, { issuer, subject });
  return account;
}

const unknown = { status: 401, error: 'invalid_token' };

describe.each(ways)('a token of the issuer of $name', ({ settings, issuer, sign }) => {
  let server: TestServer;
  let ownId: string;
  const subject = `person|${randomUUID()}`;
  beforeAll(async () => {
    server = await startServer({ settings });
    ownId = (await linkedAccount(server, issuer, subject)).id;
  });
  afterAll(() => server.close());

  const good = (claims: JWTPayload = {}, header = {}) => sign({ sub: subject, ...claims }, header);

  it('resolves to the account that is linked to its subject', async () => {
    expect(await ask(server, await good())).toEqual({ status: 200, id: ownId });
    expect((await ask(server, await good(), '/api/v1/auth/me/profile')).status).toBe(200);
    expect(await ask(server, await good({ aud: ['https://other.example', AUDIENCE] }))).toMatchObject({ status: 200 });
    expect(await ask(server, await good({}, { typ: 'at+jwt' }))).toMatchObject({ status: 200 });
    expect(await ask(server, await good({}, { typ: undefined }))).toMatchObject({ status: 200 });
    expect(await ask(server, await good({ nbf: epochSeconds(5) })), 'two clocks').toMatchObject({ status: 200 });
  });

  it('is rejected where a session is required', async () => {
    const token = await good({ role: 'admin', scope: 'openid admin', amr: ['pwd', 'otp'], auth_time: epochSeconds() });
    for (const [method, path] of [
      ['PATCH', '/api/v1/auth/me/profile'],
      ['GET', '/api/v1/auth/sessions'],
      ['DELETE', '/api/v1/auth/sessions'],
      ['POST', '/api/v1/auth/logout'],
    ] as const) {
      expect(await ask(server, token, path, method), `${method} ${path}`).toMatchObject({
        status: 403,
        error: 'insufficient_scope',
      });
    }
    expect(await ask(server, token, '/api/v1/auth/refresh', 'POST')).toMatchObject(unknown);
    const userinfo = await fetch(`${server.origin}/oauth/userinfo`, { headers: { authorization: `Bearer ${token}` } });
    expect(userinfo.status).toBe(401);
  });

  it('is used only for its subject', async () => {
    const token = await good({ role: 'admin', email: 'admin@example.com', plan: 'gold', name: 'The Admin' });
    expect(await ask(server, token)).toMatchObject({ id: ownId });
    const account = await server.base.db.account.findUniqueOrThrow({ where: { id: ownId } });
    expect(account).toMatchObject({ role: 'viewer', plan: 'free', name: 'Jane Developer' });
  });

  it('can name an account by its id with a configured key, but not from an OpenID provider', async () => {
    const { id } = await server.account();
    const response = await ask(server, await good({ sub: id }));
    expect(response).toMatchObject(settings.OIDC_ISSUER ? unknown : { status: 200, id });
  });

  it('creates no account for an unknown subject', async () => {
    const before = await server.base.db.account.count();
    expect(await ask(server, await good({ sub: 'unknown', email: 'unknown@example.com' }))).toMatchObject(unknown);
    expect(await ask(server, await good({ sub: randomUUID() }))).toMatchObject(unknown);
    expect(await server.base.db.account.count()).toBe(before);
    expect(await server.base.db.federatedIdentity.count()).toBe(1);
  });

  it('is reported as expired, to the second', async () => {
    for (const exp of [epochSeconds(-3600), epochSeconds(-1)]) {
      expect(await ask(server, await good({ exp }))).toMatchObject({ status: 401, error: 'expired_token' });
    }
  });

  it.each<[string, (make: typeof good) => Promise<string>]>([
    ['for another audience', (make) => make({ aud: 'https://other.example' })],
    ['without an audience', (make) => make({ aud: undefined })],
    ['of another issuer', (make) => make({ iss: 'https://other.example' })],
    ['of no issuer', (make) => make({ iss: undefined })],
    ['of a list of issuers', (make) => make({ iss: [issuer] as unknown as string })],
    ['of the issuer with a trailing slash', (make) => make({ iss: `${issuer}/` })],
    ['that is not valid yet', (make) => make({ nbf: epochSeconds(60) })],
    ['that was issued in the future', (make) => make({ iat: epochSeconds(60) })],
    ['without an expiry', (make) => make({ exp: undefined })],
    ['whose expiry is a string', (make) => make({ exp: 'tomorrow' as unknown as number })],
    ['without a subject', (make) => make({ sub: undefined })],
    ['whose subject is a number', (make) => make({ sub: 1 as unknown as string })],
    ['whose subject contains NUL', (make) => make({ sub: `${subject}\0` })],
    ['whose subject is too long', (make) => make({ sub: subject.repeat(50) })],
    ['that is huge', (make) => make({ padding: 'x'.repeat(9000) })],
    ['with the type of our own tokens', (make) => make({}, { typ: 'session+jwt' })],
    ['that is a logout token', (make) => make({}, { typ: 'logout+jwt' })],
    ['that is a DPoP proof', (make) => make({}, { typ: 'dpop+jwt' })],
    ['that is bound to a key', (make) => make({ cnf: { jkt: 'thumbprint' } })],
    ['that is bound to a certificate', (make) => make({ cnf: { 'x5t#S256': 'hash' } })],
    ['that is bound by an unknown method', (make) => make({ cnf: { jwk: others.publicJwk } })],
    ['with an empty cnf', (make) => make({ cnf: {} })],
    ['with a string as cnf', (make) => make({ cnf: 'thumbprint' })],
    ['with null as cnf', (make) => make({ cnf: null })],
    ['with a missing part', async (make) => (await make()).split('.').slice(0, 2).join('.')],
    ['with a changed claim', async (make) => changeClaim(await make({ sub: 'unknown' }), 'sub', subject)],
    ['with a changed signature', async (make) => changeSignature(await make())],
    ['without a signature', async (make) => `${unsigned({ alg: 'none' }, decodeJwt(await make()))}.`],
    ['without a signature, in capitals', async (make) => `${unsigned({ alg: 'NONE' }, decodeJwt(await make()))}.`],
    ['with an extension that must be understood', async (make) => withCrit(await make())],
    ['signed with a random secret', async (make) => byStranger(await make())],
    ['signed with the public key as a secret', async (make) => bySecret(await make(), rsa.pem)],
    ['signed with the other public key as a secret', async (make) => bySecret(await make(), ec.pem.trim())],
    ['signed with an empty secret', async (make) => bySecret(await make(), '')],
    ['signed with our name as the secret', async (make) => bySecret(await make(), 'signet')],
    ['signed with an unknown key', async (make) => signToken(others.privateKey, 'RS256', decodeJwt(await make()))],
    ['with an unknown key in its header', async (make) => withKeyInside(await make())],
    ['in another algorithm', async (make) => inAnotherAlgorithm(await make())],
  ])('%s is rejected', async (_what, make) => {
    expect(await ask(server, await make(good))).toMatchObject(unknown);
  });

  const unsigned = (header: object, payload: object) =>
    [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');

  function changeClaim(token: string, name: string, value: unknown): string {
    const [header, , signature] = token.split('.');
    const payload = Buffer.from(JSON.stringify({ ...decodeJwt(token), [name]: value })).toString('base64url');
    return [header, payload, signature].join('.');
  }

  function changeSignature(token: string): string {
    const at = token.length - 10;
    return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
  }

  /** Signed correctly for JWT_SECRET, so that only the extension is wrong. */
  function withCrit(token: string): string {
    const input = unsigned({ alg: 'HS256', crit: ['example'], example: true }, decodeJwt(token));
    return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
  }

  function bySecret(token: string, secret: string): string {
    const input = unsigned({ alg: 'HS256', typ: 'JWT', kid: rsa.kid }, decodeJwt(token));
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  }

  const byStranger = (token: string) => signToken(randomBytes(32), 'HS256', decodeJwt(token));

  function withKeyInside(token: string): Promise<string> {
    const { publicJwk, privateKey } = others;
    const header = { jwk: publicJwk, jku: `${server.origin}/oauth/jwks`, x5u: server.origin };
    return signToken(privateKey, 'RS256', decodeJwt(token), header);
  }

  /** Signed with the right key if possible, but with an algorithm that is not allowed. */
  function inAnotherAlgorithm(token: string): Promise<string> {
    if (settings.JWT_SECRET) return signToken(new TextEncoder().encode(SECRET.repeat(2)), 'HS512', decodeJwt(token));
    return settings.JWT_PUBLIC_KEY === rsa.pem
      ? signToken(ec.privateKey, 'ES256', decodeJwt(token))
      : signToken(secretKey, 'HS256', decodeJwt(token), { kid: ec.kid });
  }
});

describe('the issuer of a token', () => {
  it('must be configured', async () => {
    const server = await startServer();
    for (const { issuer, sign } of ways) {
      const subject = randomUUID();
      await linkedAccount(server, issuer, subject);
      expect(await ask(server, await sign({ sub: subject }))).toMatchObject(unknown);
    }
    await server.close();
  });

  it('decides which keys verify it, so that our own and external tokens are never confused', async () => {
    const server = await startServer({ settings: ways[0]!.settings });
    try {
      const account = await server.account();
      const { tokens } = await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta);
      expect(await ask(server, tokens.accessToken)).toMatchObject({ status: 200, id: account.id });
      expect(await ask(server, tokens.accessToken, '/api/v1/auth/sessions')).toMatchObject({ status: 200 });
      const claims = decodeJwt(tokens.accessToken);
      const asOurs = await signToken(secretKey, 'HS256', claims, { typ: 'session+jwt' });
      expect(await ask(server, asOurs)).toMatchObject(unknown);
      const theirs = await signToken(secretKey, 'HS256', { ...claims, iss: ISSUER, aud: AUDIENCE });
      expect(await ask(server, theirs), 'by the id of the account').toMatchObject({ status: 200, id: account.id });
      expect(await ask(server, theirs, '/api/v1/auth/sessions')).toMatchObject({ status: 403 });
      const linked = await linkedAccount(server, ISSUER, account.id);
      const anew = await ways[0]!.sign({ sub: account.id });
      expect(await ask(server, anew), 'the link comes before the id').toMatchObject({ id: linked.id });
    } finally {
      await server.close();
    }
  });

  it('can be trusted for any audience if configured', async () => {
    const server = await startServer({ settings: { ...ways[0]!.settings, JWT_AUDIENCE: '*' } });
    const { id } = await server.account();
    for (const aud of [undefined, 'https://anything.example']) {
      expect(await ask(server, await ways[0]!.sign({ sub: id, aud }))).toMatchObject({ status: 200, id });
    }
    await server.close();
  });
});

describe.each(stores)('an account on $name', (store) => {
  it('loses its external tokens with a suspension or revocation, in every process within a second', async () => {
    const { settings, sign } = ways[0]!;
    const server = await startServer({ store, settings });
    // On SQLite, writes of another process are noticed, too.
    const replica = await startServer({ sharedWith: server, settings });
    try {
      for (const data of [{ status: 'suspended' }, { notBefore: new Date(Date.now() + 60_000) }]) {
        const account = await server.account();
        const tokens = [await sign({ sub: account.id }), await sign({ sub: account.id, iat: undefined })];
        for (const token of tokens) {
          for (const at of [server, replica]) expect((await ask(at, token)).status).toBe(200);
        }
        await server.base.db.account.update({ where: { id: account.id }, data });
        await server.base.invalidationBus.publish('accounts', account.id);
        for (const token of tokens) expect(await ask(server, token)).toMatchObject(unknown);
        await sleep(1000);
        for (const token of tokens) expect(await ask(replica, token)).toMatchObject(unknown);
      }
    } finally {
      await replica.close();
      await server.close();
    }
  });
});
