// Tokens of trusted external issuers as credentials: resolution to accounts, and rejections.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import { changeAccount, suspendAccount } from '../../support/accounts.js';
import { AUDIENCE, epochSeconds, generateSigningPair, openIssuer, signToken } from '../../support/external-issuer.js';
import { sendJson, type Target } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import { stores } from '../../support/stores.js';

const ISSUER = 'https://auth.example';
const SECRET = 'a secret that two systems share, 1';
const secretKey = new TextEncoder().encode(SECRET);

const rsa = await generateSigningPair('RS256');
const ec = await generateSigningPair('ES256', 'key-2');
const untrusted = await generateSigningPair('RS256');
const provider = await openIssuer(rsa, ec);
afterAll(() => provider.close());

type Sign = (claims?: JWTPayload, header?: Record<string, unknown>) => Promise<string>;

/** Settings that trust an issuer, with a function that signs its tokens. */
const trustedIssuers: { name: string; settings: Record<string, string>; issuer: string; sign: Sign }[] = [
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

async function request(target: Target, token: string, path = '/api/v1/auth/me', method = 'GET') {
  const { status, json } = await sendJson(target, method, path, { token, ...(method !== 'GET' && { body: {} }) });
  return { status, error: json.error, id: json.id };
}

async function linkedAccount(server: TestServer, issuer: string, subject: string) {
  const account = await server.account();
  await server.core.identities.linkByAdmin(account, { issuer, subject });
  return account;
}

const invalidToken = { status: 401, error: 'invalid_token' };

describe.each(trustedIssuers)('a token of the issuer of $name', ({ settings, issuer, sign }) => {
  let server: TestServer;
  let accountId: string;
  const subject = `user|${randomUUID()}`;
  beforeAll(async () => {
    server = await startServer({ settings });
    accountId = (await linkedAccount(server, issuer, subject)).id;
  });
  afterAll(() => server.close());

  const signValid = (claims: JWTPayload = {}, header = {}) => sign({ sub: subject, ...claims }, header);

  it('resolves to the account that is linked to its subject', async () => {
    expect(await request(server, await signValid())).toEqual({ status: 200, id: accountId });
    expect((await request(server, await signValid(), '/api/v1/auth/me/profile')).status).toBe(200);
    expect(await request(server, await signValid({ aud: ['https://other.example', AUDIENCE] }))).toMatchObject({
      status: 200,
    });
    expect(await request(server, await signValid({}, { typ: 'at+jwt' }))).toMatchObject({ status: 200 });
    expect(await request(server, await signValid({}, { typ: undefined }))).toMatchObject({ status: 200 });
    expect(
      await request(server, await signValid({ nbf: epochSeconds(5) })),
      'a clock skew of five seconds',
    ).toMatchObject({ status: 200 });
  });

  it('is rejected where a session is required', async () => {
    const token = await signValid({
      role: 'admin',
      scope: 'openid admin',
      amr: ['pwd', 'otp'],
      auth_time: epochSeconds(),
    });
    for (const [method, path] of [
      ['PATCH', '/api/v1/auth/me/profile'],
      ['GET', '/api/v1/auth/sessions'],
      ['DELETE', '/api/v1/auth/sessions'],
      ['POST', '/api/v1/auth/logout'],
    ] as const) {
      expect(await request(server, token, path, method), `${method} ${path}`).toMatchObject({
        status: 403,
        error: 'insufficient_scope',
      });
    }
    expect(await request(server, token, '/api/v1/auth/refresh', 'POST')).toMatchObject(invalidToken);
    expect(await request(server, token, '/oauth/userinfo')).toMatchObject({ status: 401 });
  });

  it('changes nothing in the account by its claims', async () => {
    const token = await signValid({ role: 'admin', email: 'admin@example.com', plan: 'gold', name: 'The Admin' });
    expect(await request(server, token)).toMatchObject({ id: accountId });
    const account = await server.base.db.account.findUniqueOrThrow({ where: { id: accountId } });
    expect(account).toMatchObject({ role: 'viewer', plan: 'free', name: 'Jane Developer' });
  });

  it('resolves to the account whose id is its subject, unless it is from an OpenID provider', async () => {
    const { id } = await server.account();
    const response = await request(server, await signValid({ sub: id }));
    expect(response).toMatchObject(settings.OIDC_ISSUER ? invalidToken : { status: 200, id });
  });

  it('creates no account for an unknown subject', async () => {
    const before = await server.base.db.account.count();
    expect(await request(server, await signValid({ sub: 'unknown', email: 'unknown@example.com' }))).toMatchObject(
      invalidToken,
    );
    expect(await request(server, await signValid({ sub: randomUUID() }))).toMatchObject(invalidToken);
    expect(await server.base.db.account.count()).toBe(before);
    expect(await server.base.db.federatedIdentity.count()).toBe(1);
  });

  it('is reported as expired, to the second', async () => {
    for (const exp of [epochSeconds(-3600), epochSeconds(-1)]) {
      expect(await request(server, await signValid({ exp }))).toMatchObject({ status: 401, error: 'expired_token' });
    }
  });

  it.each<[string, (make: typeof signValid) => Promise<string>]>([
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
    ['that is bound by an unknown method', (make) => make({ cnf: { jwk: untrusted.publicJwk } })],
    ['with an empty cnf', (make) => make({ cnf: {} })],
    ['with a string as cnf', (make) => make({ cnf: 'thumbprint' })],
    ['with null as cnf', (make) => make({ cnf: null })],
    ['with a missing part', async (make) => (await make()).split('.').slice(0, 2).join('.')],
    ['with a changed claim', async (make) => changeClaim(await make({ sub: 'unknown' }), 'sub', subject)],
    ['with a changed signature', async (make) => changeSignature(await make())],
    ['without a signature', async (make) => `${unsigned({ alg: 'none' }, decodeJwt(await make()))}.`],
    ['without a signature, in capitals', async (make) => `${unsigned({ alg: 'NONE' }, decodeJwt(await make()))}.`],
    ['with an extension that must be understood', async (make) => withCrit(await make())],
    ['signed with a random secret', async (make) => withRandomSecret(await make())],
    ['signed with the public key as a secret', async (make) => withSecret(await make(), rsa.pem)],
    ['signed with the other public key as a secret', async (make) => withSecret(await make(), ec.pem.trim())],
    ['signed with an empty secret', async (make) => withSecret(await make(), '')],
    ['signed with our name as the secret', async (make) => withSecret(await make(), 'signet')],
    ['signed with an unknown key', async (make) => signToken(untrusted.privateKey, 'RS256', decodeJwt(await make()))],
    ['with an unknown key in its header', async (make) => withKeyInHeader(await make())],
    ['in another algorithm', async (make) => withAnotherAlgorithm(await make())],
  ])('is rejected if it is one %s', async (_case, make) => {
    expect(await request(server, await make(signValid))).toMatchObject(invalidToken);
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

  function withSecret(token: string, secret: string): string {
    const input = unsigned({ alg: 'HS256', typ: 'JWT', kid: rsa.kid }, decodeJwt(token));
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  }

  const withRandomSecret = (token: string) => signToken(randomBytes(32), 'HS256', decodeJwt(token));

  function withKeyInHeader(token: string): Promise<string> {
    const { publicJwk, privateKey } = untrusted;
    const header = { jwk: publicJwk, jku: `${server.origin}/oauth/jwks`, x5u: server.origin };
    return signToken(privateKey, 'RS256', decodeJwt(token), header);
  }

  /** Signed with the right key if possible, but with an algorithm that is not allowed. */
  function withAnotherAlgorithm(token: string): Promise<string> {
    if (settings.JWT_SECRET) return signToken(new TextEncoder().encode(SECRET.repeat(2)), 'HS512', decodeJwt(token));
    return settings.JWT_PUBLIC_KEY === rsa.pem
      ? signToken(ec.privateKey, 'ES256', decodeJwt(token))
      : signToken(secretKey, 'HS256', decodeJwt(token), { kid: ec.kid });
  }
});

describe('an external issuer', () => {
  it('is not trusted unless it is configured', async () => {
    const server = await startServer();
    for (const { issuer, sign } of trustedIssuers) {
      const subject = randomUUID();
      await linkedAccount(server, issuer, subject);
      expect(await request(server, await sign({ sub: subject }))).toMatchObject(invalidToken);
    }
    await server.close();
  });

  it('is verified with its own keys only, so that our own and external tokens are never confused', async () => {
    const server = await startServer({ settings: trustedIssuers[0]!.settings });
    try {
      const account = await server.account();
      const { tokens } = await server.core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta);
      expect(await request(server, tokens.accessToken)).toMatchObject({ status: 200, id: account.id });
      expect(await request(server, tokens.accessToken, '/api/v1/auth/sessions')).toMatchObject({ status: 200 });
      const claims = decodeJwt(tokens.accessToken);
      const imitation = await signToken(secretKey, 'HS256', claims, { typ: 'session+jwt' });
      expect(await request(server, imitation)).toMatchObject(invalidToken);
      const external = await signToken(secretKey, 'HS256', { ...claims, iss: ISSUER, aud: AUDIENCE });
      expect(await request(server, external), 'its subject is the id of the account').toMatchObject({
        status: 200,
        id: account.id,
      });
      expect(await request(server, external, '/api/v1/auth/sessions')).toMatchObject({ status: 403 });
      const linked = await linkedAccount(server, ISSUER, account.id);
      const forLinked = await trustedIssuers[0]!.sign({ sub: account.id });
      expect(await request(server, forLinked), 'a link takes precedence over the id').toMatchObject({ id: linked.id });
    } finally {
      await server.close();
    }
  });

  it('is trusted for any audience if JWT_AUDIENCE is *', async () => {
    const server = await startServer({ settings: { ...trustedIssuers[0]!.settings, JWT_AUDIENCE: '*' } });
    const { id } = await server.account();
    for (const aud of [undefined, 'https://anything.example']) {
      expect(await request(server, await trustedIssuers[0]!.sign({ sub: id, aud }))).toMatchObject({ status: 200, id });
    }
    await server.close();
  });
});

describe.each(stores)('an account with external tokens on $name', (store) => {
  it('is rejected in every process within a second after a suspension or password change', async () => {
    const { settings, sign } = trustedIssuers[0]!;
    const server = await startServer({ store, settings });
    // On SQLite as well, where the processes share a file.
    const secondServer = await startServer({ sharedWith: server, settings });
    try {
      const changes = [
        (id: string) => suspendAccount(server, id),
        (id: string) => changeAccount(server, id, { password: 'nine unrelated lanterns' }),
      ];
      for (const change of changes) {
        const account = await server.account();
        const tokens = [await sign({ sub: account.id }), await sign({ sub: account.id, iat: undefined })];
        for (const token of tokens) {
          for (const at of [server, secondServer]) expect((await request(at, token)).status).toBe(200);
        }
        await change(account.id);
        for (const token of tokens) expect(await request(server, token)).toMatchObject(invalidToken);
        await sleep(1000);
        for (const token of tokens) expect(await request(secondServer, token)).toMatchObject(invalidToken);
      }
    } finally {
      await secondServer.close();
      await server.close();
    }
  });
});
