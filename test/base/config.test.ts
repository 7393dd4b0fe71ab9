// The settings: every fault is told at once, and production starts with nothing unsafe.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { settings } from '../../src/base/config/settings.js';
import { ConfigError, readConfig } from '../../src/base/config.js';
import { isLoopback } from '../../src/base/loopback.js';

function errorsOf(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).errors;
  }
  return [];
}

/** Production on PostgreSQL, as it should be. */
const SAFE = {
  NODE_ENV: 'production',
  ISSUER: 'https://id.example.com',
  DATABASE_URL: 'postgresql://db/signet',
  SECRET: 'a secret of at least 32 characters',
};

describe('the settings', () => {
  it('need none at all', () => {
    expect(readConfig({})).toMatchObject({
      production: false,
      issuer: 'http://localhost:3000',
      databaseUrl: 'file:data/signet.db',
      processes: 1,
      accessTokenSeconds: 28_800,
      refreshTokenSeconds: 604_800,
      refreshRetrySeconds: 10,
      sessionMaxSeconds: 2_592_000,
      trustedProxies: [],
    });
  });

  it('count an empty variable as not set, and trim what is set', () => {
    expect(readConfig({ PORT: '', BRAND_NAME: '  ' })).toMatchObject({ port: 3000, brandName: 'Signet' });
    expect(readConfig({ PORT: ' 80 ', REDIRECT_HOSTS: ' a.example , ,b.example ' })).toMatchObject({
      port: 80,
      redirectHosts: ['a.example', 'b.example'],
    });
  });

  it('tell all faults at once, by name and with what is allowed', () => {
    const errors = errorsOf({
      NODE_ENV: 'prod',
      PORT: '70000',
      ACCESS_TOKEN_TTL: '8 hours',
      REGISTRATION: 'yes',
      WEB_CONCURRENCY: '2.5',
      ISSUER: 'https://id.example.com/path',
      TRUSTED_PROXIES: 'nginx',
    });
    expect(errors).toHaveLength(7);
    const text = new ConfigError(errors).message;
    for (const sentence of [
      'NODE_ENV is "prod"; allowed: development, production, test',
      'PORT is "70000"; allowed: a whole number from 0 to 65535',
      'ACCESS_TOKEN_TTL is "8 hours"; allowed: a duration such as 30s',
      'REGISTRATION is "yes"; allowed: open, token, closed',
      'WEB_CONCURRENCY is "2.5"',
      'ISSUER is not an origin',
      'TRUSTED_PROXIES holds "nginx"',
    ]) {
      expect(text).toContain(sentence);
    }
  });

  it.each<[string, Record<string, string>, string]>([
    ['an issuer over http', { ISSUER: 'http://id.example.com' }, 'ISSUER'],
    ['no secret on PostgreSQL', { SECRET: '' }, 'SECRET is missing'],
    ['a short secret', { SECRET: 'short' }, 'SECRET has fewer than 32'],
    ['a low hash cost', { PASSWORD_HASH_COST: '9' }, 'PASSWORD_HASH_COST'],
    ['several processes on SQLite', { DATABASE_URL: 'file:./x.db', WEB_CONCURRENCY: '2' }, 'WEB_CONCURRENCY'],
    ['open registration by a short token', { REGISTRATION: 'token', REGISTRATION_TOKEN: 'x' }, 'REGISTRATION_TOKEN'],
    ['half an administrator', { BOOTSTRAP_ADMIN_EMAIL: 'a@example.com' }, 'BOOTSTRAP_ADMIN_PASSWORD'],
    ['tokens that are over at once', { ACCESS_TOKEN_TTL: '0s' }, 'ACCESS_TOKEN_TTL'],
    ['another kind of database', { DATABASE_URL: 'mysql://db' }, 'DATABASE_URL'],
    ['another kind of Redis', { REDIS_URL: 'http://redis' }, 'REDIS_URL'],
    ['a mail server that is none', { SMTP_URL: 'mail.example.com' }, 'SMTP_URL'],
    ['a sender that is none', { MAIL_FROM: 'nobody' }, 'MAIL_FROM'],
    ['a short secret of before', { SECRET_PREVIOUS: 'short' }, 'SECRET_PREVIOUS'],
    ['an origin where a host belongs', { REDIRECT_HOSTS: 'https://app.example.com' }, 'REDIRECT_HOSTS'],
    ['a host with a port where ports do not count', { REDIRECT_HOSTS: 'app.example.com:8443' }, 'REDIRECT_HOSTS'],
    ['a star in the middle of a host', { REDIRECT_HOSTS: 'app.*.example.com' }, 'REDIRECT_HOSTS'],
    ['a private host in capital letters', { FETCH_PRIVATE_HOSTS: 'Intra.example.com' }, 'FETCH_PRIVATE_HOSTS'],
    ['a private network', { FETCH_PRIVATE_HOSTS: '10.0.0.0/8' }, 'FETCH_PRIVATE_HOSTS'],
  ])('refuse %s in production', (_name, environment, word) => {
    expect(errorsOf(SAFE)).toEqual([]);
    const errors = errorsOf({ ...SAFE, ...environment });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(word);
  });

  it.each([
    'mail.example.com:587',
    'http://mail.example.com',
    'smtp://',
    'smtp:mail.example.com',
    'smtp://mail.example.com:0',
    'smtp://mail.example.com:70000',
    'smtp://mail.example.com/path',
    'smtp://mail.example.com?tls=no',
    'smtp://mail.example.com?tls.rejectUnauthorized=false',
    'smtps://mail.example.com?tls=off',
    'smtp://mail.example.com#x',
    'smtp://mara:hunter22/x@mail.example.com',
    'smtp://mara:hunter22%@mail.example.com',
    'smtp://mara@mail.example.com',
    'smtp://:hunter22@mail.example.com',
  ])('refuse the mail server %j, and do not repeat its password', (SMTP_URL) => {
    const errors = errorsOf({ SMTP_URL });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/^SMTP_URL (?!.*hunter22)/);
  });

  it('take the hosts that apps may lead to, and those of our own network', () => {
    expect(errorsOf({ REDIRECT_HOSTS: 'app.example.com, *.example.com, 10.0.0.5, [::1]' })).toEqual([]);
    expect(errorsOf({ FETCH_PRIVATE_HOSTS: 'intra, intra.example.com:8443, 10.0.0.5, [fd00::1]:8443' })).toEqual([]);
  });

  it('know where mails go, and from whom', () => {
    expect(readConfig({ ISSUER: 'https://id.example.com', BRAND_NAME: 'Acme' })).toMatchObject({
      smtp: undefined,
      mailFrom: { name: 'Acme', address: 'no-reply@id.example.com' },
    });
    expect(readConfig({ SMTP_URL: 'smtp://mara%40x:p%3Ass@mail.example.com' }).smtp).toEqual({
      host: 'mail.example.com',
      port: 587,
      secure: false,
      plain: false,
      auth: { user: 'mara@x', pass: 'p:ss' },
    });
    expect(readConfig({ SMTP_URL: 'smtps://[::1]' }).smtp).toMatchObject({ host: '::1', port: 465, secure: true });
    expect(readConfig({ SMTP_URL: 'smtp://mailpit:1025?tls=off' }).smtp).toMatchObject({ port: 1025, plain: true });
    expect(readConfig({ MAIL_FROM: '"Acme, Inc." <id@acme.example>' }).mailFrom).toEqual({
      name: 'Acme, Inc.',
      address: 'id@acme.example',
    });
    expect(readConfig({ MAIL_FROM: 'id@acme.example' }).mailFrom).toEqual({ address: 'id@acme.example' });
  });

  it.each(['x', '<id@acme.example', 'a@b.example, c@d.example', 'A\r\nBcc: x@y.example <id@acme.example>'])(
    'refuse the sender %j',
    (MAIL_FROM) => {
      expect(errorsOf({ MAIL_FROM })).toHaveLength(1);
    },
  );

  it.each([
    'id.example.com',
    'https://id.example.com/path',
    'https://id.example.com?x',
    'https://id.example.com#x',
    'https://user@id.example.com',
    'https://ID.example.com',
    'https://id.example.com:443',
    'ftp://id.example.com',
    'javascript:alert(1)',
  ])('refuse the issuer %s', (ISSUER) => {
    expect(errorsOf({ ISSUER })).toHaveLength(1);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/x', '::1/129', 'fe80::/-1', '10.0.0', '10.0.0.1:80'])(
    'refuse the proxy %s',
    (TRUSTED_PROXIES) => {
      expect(errorsOf({ TRUSTED_PROXIES })).toHaveLength(1);
    },
  );

  it.each([
    ['30s', 30],
    ['15m', 900],
    ['8h', 28_800],
    ['7d', 604_800],
    ['2w', 1_209_600],
  ])('read %s as %i seconds', (text, seconds) => {
    expect(readConfig({ SESSION_TTL: text }).sessionSeconds).toBe(seconds);
  });

  it.each(['8', 'h', '-8h', '1.5h', '8H', '8h8m', '1e3s', '9999999999s'])('refuse the duration %s', (text) => {
    expect(errorsOf({ SESSION_TTL: text })).toHaveLength(1);
  });

  it.each<[string, Record<string, string>]>([
    ['CLIENT_CERT_HEADER', { CLIENT_CERT_HEADER: 'X Client' }],
    ['CLIENT_CERT_HEADER', { CLIENT_CERT_HEADER: 'Authorization' }],
    ['CLIENT_CERT_HEADER', { CLIENT_CERT_HEADER: 'x-forwarded-for' }],
    ['CLIENT_CA_FILE', { CLIENT_CA_FILE: 'ca.pem' }],
    ['SPIFFE_BUNDLES', { SPIFFE_TRUST_DOMAIN: 'example.org' }],
    ['SPIFFE_BUNDLES', { SPIFFE_BUNDLES: './bundles' }],
    ['SPIFFE_TRUST_DOMAIN', { SPIFFE_TRUST_DOMAIN: 'spiffe://example.org', SPIFFE_BUNDLES: '.' }],
    ['SPIFFE_TRUSTED_DOMAINS', { SPIFFE_TRUSTED_DOMAINS: '../evil', SPIFFE_BUNDLES: '.' }],
    ['SPIFFE_TRUSTED_DOMAINS', { SPIFFE_TRUSTED_DOMAINS: '..', SPIFFE_BUNDLES: '.' }],
    ['TLS_KEY_FILE', { TLS_CERT_FILE: 'cert.pem', ISSUER: 'https://id.example.com' }],
    ['TLS_CERT_FILE', { TLS_CERT_FILE: 'cert.pem', TLS_KEY_FILE: 'key.pem' }],
  ])('do not start with a wrong %s', (name, environment) => {
    const errors = errorsOf(environment);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(name);
  });

  it('are those of .env.example: the same names, order, words and defaults', () => {
    const text = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
    const listed = [...text.matchAll(/^# (.*)\n# allowed: (.*)\n(\w+)=(.*)$/gm)].map(
      ([, description, expected, name, defaultValue]) => ({ name, description, expected, defaultValue }),
    );
    expect(listed).toEqual(
      Object.entries(settings).map(([name, { description, expected, defaultValue }]) => ({
        name,
        description,
        expected,
        defaultValue,
      })),
    );
    expect([...text.matchAll(/^\w+=/gm)]).toHaveLength(listed.length);
  });
});

describe('issuers and providers elsewhere', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = (key: KeyObject) =>
    key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }) as string;
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  const ISSUER = 'https://id.example.com';
  const SECRET = 'x'.repeat(32);
  const whose = { JWT_ISSUER: 'https://auth.example', JWT_AUDIENCE: 'us' };
  const oidc = { OIDC_ISSUER: 'https://auth.example/', OIDC_AUDIENCE: 'us' };

  it('are nobody where nothing is set', () => {
    expect(readConfig({})).toMatchObject({ upstream: undefined, trustedIssuers: [] });
  });

  it.each<[string, Record<string, string>, object[]]>([
    ['a secret', { JWT_SECRET: SECRET, ...whose }, [{ algorithms: ['HS256'], audience: 'us', namesAccounts: true }]],
    ['any audience, openly', { JWT_SECRET: SECRET, ...whose, JWT_AUDIENCE: '*' }, [{ audience: undefined }]],
    ['a public key', { JWT_PUBLIC_KEY: pem(publicKey), ...whose }, [{ algorithms: ['ES256'], namesAccounts: true }]],
    ['a provider', oidc, [{ issuer: 'https://auth.example/', algorithms: ['RS256', 'ES256'], namesAccounts: false }]],
    ['both kinds', { JWT_SECRET: SECRET, ...whose, ...oidc, OIDC_ISSUER: 'http://localhost:9' }, [{}, {}]],
  ])('may be %s', (_name, environment, expected) => {
    expect(readConfig({ ISSUER, ...environment }).trustedIssuers).toMatchObject(expected);
  });

  it.each<[string, Record<string, string>, string]>([
    ['31 bytes of secret', { JWT_SECRET: SECRET.slice(1), ...whose }, 'JWT_SECRET has fewer than 32 bytes'],
    ['our master secret', { JWT_SECRET: SECRET, SECRET, ...whose }, 'JWT_SECRET is the same as SECRET'],
    ['two keys', { JWT_SECRET: SECRET, JWT_PUBLIC_KEY: pem(publicKey), ...whose }, 'JWT_PUBLIC_KEY are both'],
    ['a private key', { JWT_PUBLIC_KEY: pem(privateKey), ...whose }, 'JWT_PUBLIC_KEY is no public key'],
    ['a small key', { JWT_PUBLIC_KEY: pem(small), ...whose }, 'JWT_PUBLIC_KEY is no public key'],
    ['a key of another curve', { JWT_PUBLIC_KEY: pem(p384), ...whose }, 'JWT_PUBLIC_KEY is no public key'],
    ['a key that is none', { JWT_PUBLIC_KEY: '-----BEGIN PUBLIC KEY-----', ...whose }, 'JWT_PUBLIC_KEY is no'],
    ['no issuer', { JWT_SECRET: SECRET, JWT_AUDIENCE: 'us' }, 'JWT_ISSUER is missing'],
    ['no audience', { JWT_SECRET: SECRET, JWT_ISSUER: 'https://auth.example' }, 'JWT_AUDIENCE is missing'],
    ['an issuer without a key', whose, 'JWT_ISSUER and JWT_AUDIENCE say nothing'],
    ['our own issuer', { JWT_SECRET: SECRET, ...whose, JWT_ISSUER: `${ISSUER}/` }, 'JWT_ISSUER is our own'],
    ['our own issuer in capitals', { ...oidc, OIDC_ISSUER: 'HTTPS://ID.example.com:443' }, 'OIDC_ISSUER is our own'],
    ['a provider for anybody', { ...oidc, OIDC_AUDIENCE: '*' }, 'OIDC_AUDIENCE is missing'],
    ['a provider for nobody', { OIDC_ISSUER: 'https://auth.example' }, 'OIDC_AUDIENCE is missing'],
    ['an audience of no provider', { OIDC_AUDIENCE: 'us' }, 'OIDC_AUDIENCE says nothing'],
    ['a provider over http', { ...oidc, OIDC_ISSUER: 'http://auth.example' }, 'OIDC_ISSUER is no issuer'],
    ['a provider that is no URL', { ...oidc, OIDC_ISSUER: 'auth.example' }, 'OIDC_ISSUER is no issuer'],
    ['one issuer twice', { JWT_SECRET: SECRET, ...whose, ...oidc }, 'OIDC_ISSUER and JWT_ISSUER are the same'],
    ['an upstream over http', { UPSTREAM_AUTH_URL: 'http://auth.example' }, 'UPSTREAM_AUTH_URL is not usable'],
    ['an upstream with a password', { UPSTREAM_AUTH_URL: 'https://a:b@auth.example' }, 'UPSTREAM_AUTH_URL is not'],
    ['an upstream that is no URL', { UPSTREAM_AUTH_URL: 'auth.example' }, 'UPSTREAM_AUTH_URL is not usable'],
    ['an upstream that is us', { UPSTREAM_AUTH_URL: `${ISSUER}/` }, 'UPSTREAM_AUTH_URL is our own'],
    [
      'an upstream that is us by another name',
      { ISSUER: 'http://localhost:3000', UPSTREAM_AUTH_URL: 'http://127.0.0.1:3000' },
      'UPSTREAM_AUTH_URL is our own',
    ],
    [
      'a path that leads elsewhere',
      { UPSTREAM_AUTH_URL: 'https://auth.example', UPSTREAM_LOGIN_PATH: '@evil.example/' },
      'UPSTREAM_LOGIN_PATH',
    ],
    [
      'a path that is none',
      { UPSTREAM_AUTH_URL: 'https://auth.example', UPSTREAM_PROFILE_PATH: 'me' },
      'UPSTREAM_PROFILE_PATH',
    ],
  ])('are not %s', (_name, environment, sentence) => {
    const errors = errorsOf({ ISSUER, ...environment });
    expect(errors, errors.join('\n')).toHaveLength(1);
    expect(errors[0]).toContain(sentence);
  });

  it('may be this very machine, and end with a slash or not', () => {
    const { upstream } = readConfig({ ISSUER, UPSTREAM_AUTH_URL: 'http://localhost:4000/base/' });
    expect(upstream).toEqual({
      url: 'http://localhost:4000/base',
      loginPath: '/api/v1/auth/login-json',
      profilePath: '/api/v1/auth/me',
    });
  });
});

describe('this machine', () => {
  it.each(['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]'])('is %s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(['localhost.example', '127.0.0.1.example', '128.0.0.1', '0.0.0.0', '10.0.0.1', 'xlocalhost', ''])(
    'is not %j',
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
