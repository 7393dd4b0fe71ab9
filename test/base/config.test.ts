// Settings from the environment: defaults, problems, old names, secrets in files.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEPRECATED_NAMES } from '../../src/base/config/deprecated-names.js';
import { describeSettings } from '../../src/base/config/topics.js';
import { ConfigError, readConfig } from '../../src/base/config.js';
import { isLoopback } from '../../src/kit/loopback.js';

function errorsOf(environment: Record<string, string>): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).errors;
  }
  return [];
}

const settings = describeSettings().flatMap((topic) => topic.settings);

/** Safe settings for production on PostgreSQL. */
const SAFE = {
  NODE_ENV: 'production',
  ISSUER: 'https://id.example.com',
  DATABASE_URL: 'postgresql://db/signet',
  SECRET: 'a secret of at least 32 characters',
};

describe('readConfig', () => {
  it('needs no settings', () => {
    expect(readConfig({})).toMatchObject({
      production: false,
      issuer: 'http://localhost:3000',
      databaseUrl: 'file:data/signet.db',
      processes: 1,
      accessTokenSeconds: 28_800,
      refreshTokenSeconds: 604_800,
      refreshReuseSeconds: 10,
      sessionMaxSeconds: 2_592_000,
      trustedProxies: [],
      warnings: [],
    });
  });

  it('treats an empty variable as unset, and trims values', () => {
    expect(readConfig({ PORT: '', BRAND_NAME: '  ' })).toMatchObject({ port: 3000, brandName: 'Signet' });
    expect(readConfig({ PORT: ' 80 ', REDIRECT_HOSTS: ' a.example , ,b.example ' })).toMatchObject({
      port: 80,
      redirectHosts: ['a.example', 'b.example'],
    });
  });

  it('reports all problems at once, with the variable and what is allowed', () => {
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
    for (const part of [
      'NODE_ENV must be development, production or test (got "prod")',
      'PORT must be an integer from 0 to 65535 (got "70000")',
      'ACCESS_TOKEN_TTL must be a duration such as 30s, 15m, 8h, 7d or 2w, longer than 0s (got "8 hours")',
      'REGISTRATION must be open, token or closed (got "yes")',
      'WEB_CONCURRENCY must be an integer from 1 to 64 (got "2.5")',
      'ISSUER is not an origin',
      'TRUSTED_PROXIES contains "nginx"',
    ]) {
      expect(text).toContain(part);
    }
  });

  it.each(settings.filter(({ isSecret }) => isSecret).map(({ variable }) => variable))(
    'never repeats the value of %s in a message',
    (variable) => {
      const value = '"<hunter22>"';
      const errors = errorsOf({ [variable]: value, NODE_ENV: 'invalid', REGISTRATION: 'token' });
      expect(errors.length).toBeGreaterThan(0);
      expect(errors.join('\n')).not.toContain('hunter22');
    },
  );

  it.each<[string, Record<string, string>, string]>([
    ['an issuer over http', { ISSUER: 'http://id.example.com' }, 'ISSUER'],
    ['no secret on PostgreSQL', { SECRET: '' }, 'SECRET is missing'],
    ['a short secret', { SECRET: 'short' }, 'SECRET has fewer than 32'],
    ['a low hash cost', { PASSWORD_HASH_COST: '9' }, 'PASSWORD_HASH_COST'],
    ['several processes on SQLite', { DATABASE_URL: 'file:./x.db', WEB_CONCURRENCY: '2' }, 'WEB_CONCURRENCY'],
    ['a short registration token', { REGISTRATION: 'token', REGISTRATION_TOKEN: 'x' }, 'REGISTRATION_TOKEN'],
    ['an administrator without a password', { BOOTSTRAP_ADMIN_EMAIL: 'a@example.com' }, 'BOOTSTRAP_ADMIN_PASSWORD'],
    ['access tokens that expire at once', { ACCESS_TOKEN_TTL: '0s' }, 'ACCESS_TOKEN_TTL'],
    ['a reuse interval beyond the storage of used tokens', { REFRESH_TOKEN_REUSE_INTERVAL: '25h' }, 'at most 1d'],
    ['an unsupported database', { DATABASE_URL: 'mysql://db' }, 'DATABASE_URL'],
    ['a Redis URL with another scheme', { REDIS_URL: 'http://redis' }, 'REDIS_URL'],
    ['an invalid mail server', { SMTP_URL: 'mail.example.com' }, 'SMTP_URL'],
    ['an invalid sender', { MAIL_FROM: 'no-address' }, 'MAIL_FROM'],
    ['a short previous secret', { SECRET_PREVIOUS: 'short' }, 'SECRET_PREVIOUS'],
    ['an origin instead of a host', { REDIRECT_HOSTS: 'https://app.example.com' }, 'REDIRECT_HOSTS'],
    ['a redirect host with a port', { REDIRECT_HOSTS: 'app.example.com:8443' }, 'REDIRECT_HOSTS'],
    ['a wildcard in the middle of a host', { REDIRECT_HOSTS: 'app.*.example.com' }, 'REDIRECT_HOSTS'],
    ['a private host in upper case', { FETCH_PRIVATE_HOSTS: 'Intra.example.com' }, 'FETCH_PRIVATE_HOSTS'],
    ['a private network instead of a host', { FETCH_PRIVATE_HOSTS: '10.0.0.0/8' }, 'FETCH_PRIVATE_HOSTS'],
  ])('rejects %s in production', (_name, environment, word) => {
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
  ])('rejects the mail server %j without repeating its password', (SMTP_URL) => {
    const errors = errorsOf({ SMTP_URL });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/^SMTP_URL (?!.*hunter22)/);
  });

  it('accepts names and IP addresses as redirect hosts and private hosts', () => {
    expect(errorsOf({ REDIRECT_HOSTS: 'app.example.com, *.example.com, 10.0.0.5, [::1]' })).toEqual([]);
    expect(errorsOf({ FETCH_PRIVATE_HOSTS: 'intra, intra.example.com:8443, 10.0.0.5, [fd00::1]:8443' })).toEqual([]);
  });

  it('reads the mail server and the sender', () => {
    expect(readConfig({ ISSUER: 'https://id.example.com', BRAND_NAME: 'Acme' })).toMatchObject({
      smtp: undefined,
      mailFrom: { name: 'Acme', address: 'no-reply@id.example.com' },
    });
    expect(readConfig({ SMTP_URL: 'smtp://mara%40x:p%3Ass@mail.example.com' }).smtp).toEqual({
      host: 'mail.example.com',
      port: 587,
      secure: false,
      allowPlaintext: false,
      auth: { user: 'mara@x', pass: 'p:ss' },
    });
    expect(readConfig({ SMTP_URL: 'smtps://[::1]' }).smtp).toMatchObject({ host: '::1', port: 465, secure: true });
    expect(readConfig({ SMTP_URL: 'smtp://mailpit:1025?tls=off' }).smtp).toMatchObject({
      port: 1025,
      allowPlaintext: true,
    });
    expect(readConfig({ MAIL_FROM: '"Acme, Inc." <id@acme.example>' }).mailFrom).toEqual({
      name: 'Acme, Inc.',
      address: 'id@acme.example',
    });
    expect(readConfig({ MAIL_FROM: 'id@acme.example' }).mailFrom).toEqual({ address: 'id@acme.example' });
  });

  it.each(['x', '<id@acme.example', 'a@b.example, c@d.example', 'A\r\nBcc: x@y.example <id@acme.example>'])(
    'rejects the sender %j',
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
  ])('rejects the issuer %s', (ISSUER) => {
    expect(errorsOf({ ISSUER })).toHaveLength(1);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/x', '::1/129', 'fe80::/-1', '10.0.0', '10.0.0.1:80'])(
    'rejects the proxy %s',
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
  ])('reads %s as %i seconds', (text, seconds) => {
    expect(readConfig({ SESSION_TTL: text }).sessionSeconds).toBe(seconds);
  });

  it.each(['8', 'h', '-8h', '1.5h', '8H', '8h8m', '1e3s', '9999999999s'])('rejects the duration %s', (text) => {
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
  ])('rejects an invalid %s (%j)', (name, environment) => {
    const errors = errorsOf(environment);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(name);
  });
});

describe('old names of settings', () => {
  const values: Record<string, string> = {
    REFRESH_RETRY_WINDOW: '42s',
    REAP_UNUSED_CLIENTS: '42s',
    REAP_IDLE_CLIENTS: '42s',
    CLIENT_DOCUMENTS: 'off',
    FEDERATION_KEEP_TOKENS: 'acme',
  };
  const provider = { id: 'acme', name: 'Acme', issuer: 'https://acme.example', client_id: 'x' };

  it.each(Object.entries(DEPRECATED_NAMES))('accepts %s for %s, with a warning', (old, current) => {
    const rest = { OIDC_PROVIDERS: JSON.stringify([provider]) };
    const { warnings, ...config } = readConfig({ ...rest, [old]: values[old] });
    expect(warnings).toEqual([expect.stringMatching(`^${old} is deprecated and .* use ${current} instead$`)]);
    const { warnings: none, ...renamed } = readConfig({ ...rest, [current]: values[old] });
    expect(none).toEqual([]);
    expect(config).toEqual(renamed);
    expect(config).not.toMatchObject(readConfig(rest));
  });

  it('prefers the current name, with a warning about the old one', () => {
    const config = readConfig({ REFRESH_RETRY_WINDOW: '1s', REFRESH_TOKEN_REUSE_INTERVAL: '2s' });
    expect(config.refreshReuseSeconds).toBe(2);
    expect(config.warnings).toEqual([expect.stringContaining('REFRESH_RETRY_WINDOW is deprecated and ignored')]);
  });

  it('accepts vouches_for for email_domains in OIDC_PROVIDERS, with a warning', () => {
    const settings = { OIDC_PROVIDERS: JSON.stringify([{ ...provider, vouches_for: ['acme.example'] }]) };
    const { providers, warnings } = readConfig(settings);
    expect(providers).toMatchObject([{ id: 'acme', emailDomains: ['acme.example'] }]);
    expect(warnings).toEqual([expect.stringMatching('^OIDC_PROVIDERS: "vouches_for" is deprecated')]);
  });

  it('rejects a provider with both the old and the current member', () => {
    const both = { ...provider, vouches_for: ['a.example'], email_domains: ['b.example'] };
    expect(errorsOf({ OIDC_PROVIDERS: JSON.stringify([both]) })).toEqual([expect.stringContaining('vouches_for')]);
  });
});

describe('secrets in files', () => {
  const text = 'a secret of at least 32 characters';
  let folder: string;
  let path: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'signet-config-'));
    path = join(folder, 'secret');
    writeFileSync(path, `${text}\n`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('reads a secret without its trailing newline', () => {
    expect(readConfig({ SECRET_FILE: path }).secret).toBe(text);
  });

  it.each(settings.filter(({ isSecret }) => isSecret).map(({ variable }) => variable))('reads %s_FILE', (variable) => {
    expect(errorsOf({ [`${variable}_FILE`]: join(folder, 'missing') })).toEqual([
      expect.stringMatching(`^${variable}_FILE: cannot read the file: ENOENT`),
    ]);
  });

  it('rejects a secret that is given twice', () => {
    expect(errorsOf({ SECRET: text, SECRET_FILE: path })).toEqual([
      'SECRET and SECRET_FILE are both set; set only one',
    ]);
  });

  it('rejects an empty file', () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '\n');
    expect(errorsOf({ SECRET_FILE: empty })).toEqual([`SECRET_FILE: the file ${empty} is empty`]);
  });

  it('does not read files for settings that are not secret', () => {
    writeFileSync(join(folder, 'name'), 'Acme');
    expect(readConfig({ BRAND_NAME_FILE: join(folder, 'name') }).brandName).toBe('Signet');
  });
});

describe('the documentation of the settings', () => {
  it('is up to date in .env.example and docs/configuration.md', () => {
    const script = join(import.meta.dirname, '../../scripts/settings.mjs');
    execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' });
  });

  it('names no variable twice, and describes each one in sentences', () => {
    const names = settings.map(({ variable }) => variable);
    expect(new Set(names).size).toBe(names.length);
    for (const { variable, description } of settings) expect(description, variable).toMatch(/^[A-Za-z`].*[.…]$/);
  });
});

describe('external issuers and the upstream provider', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = (key: KeyObject) =>
    key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }) as string;
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  const ISSUER = 'https://id.example.com';
  const SECRET = 'x'.repeat(32);
  const issuer = { JWT_ISSUER: 'https://auth.example', JWT_AUDIENCE: 'us' };
  const oidc = { OIDC_ISSUER: 'https://auth.example/', OIDC_AUDIENCE: 'us' };

  it('are not configured by default', () => {
    expect(readConfig({})).toMatchObject({ upstream: undefined, trustedIssuers: [] });
  });

  it.each<[string, Record<string, string>, object[]]>([
    [
      'an HS256 secret',
      { JWT_SECRET: SECRET, ...issuer },
      [{ algorithms: ['HS256'], audience: 'us', subCanBeAccountId: true }],
    ],
    ['a secret for any audience', { JWT_SECRET: SECRET, ...issuer, JWT_AUDIENCE: '*' }, [{ audience: undefined }]],
    [
      'a public key',
      { JWT_PUBLIC_KEY: pem(publicKey), ...issuer },
      [{ algorithms: ['ES256'], subCanBeAccountId: true }],
    ],
    [
      'an OpenID provider',
      oidc,
      [{ issuer: 'https://auth.example/', algorithms: ['RS256', 'ES256'], subCanBeAccountId: false }],
    ],
    [
      'a secret and a provider',
      { JWT_SECRET: SECRET, ...issuer, ...oidc, OIDC_ISSUER: 'http://localhost:9' },
      [{}, {}],
    ],
  ])('can be configured by %s', (_name, environment, expected) => {
    expect(readConfig({ ISSUER, ...environment }).trustedIssuers).toMatchObject(expected);
  });

  it.each<[string, Record<string, string>, string]>([
    ['a secret of 31 bytes', { JWT_SECRET: SECRET.slice(1), ...issuer }, 'JWT_SECRET has fewer than 32 bytes'],
    ['our master secret', { JWT_SECRET: SECRET, SECRET, ...issuer }, 'JWT_SECRET is the same as SECRET'],
    ['two keys', { JWT_SECRET: SECRET, JWT_PUBLIC_KEY: pem(publicKey), ...issuer }, 'JWT_PUBLIC_KEY are both'],
    ['a private key', { JWT_PUBLIC_KEY: pem(privateKey), ...issuer }, 'JWT_PUBLIC_KEY is not a supported public key'],
    ['a small key', { JWT_PUBLIC_KEY: pem(small), ...issuer }, 'JWT_PUBLIC_KEY is not a supported public key'],
    [
      'a key of another curve',
      { JWT_PUBLIC_KEY: pem(p384), ...issuer },
      'JWT_PUBLIC_KEY is not a supported public key',
    ],
    ['a malformed key', { JWT_PUBLIC_KEY: '-----BEGIN PUBLIC KEY-----', ...issuer }, 'JWT_PUBLIC_KEY is not'],
    ['no issuer', { JWT_SECRET: SECRET, JWT_AUDIENCE: 'us' }, 'JWT_ISSUER is missing'],
    ['no audience', { JWT_SECRET: SECRET, JWT_ISSUER: 'https://auth.example' }, 'JWT_AUDIENCE is missing'],
    ['an issuer without a key', issuer, 'JWT_ISSUER and JWT_AUDIENCE have no effect'],
    ['our own issuer', { JWT_SECRET: SECRET, ...issuer, JWT_ISSUER: `${ISSUER}/` }, 'JWT_ISSUER is our own'],
    ['our own issuer in upper case', { ...oidc, OIDC_ISSUER: 'HTTPS://ID.example.com:443' }, 'OIDC_ISSUER is our own'],
    ['a provider with any audience', { ...oidc, OIDC_AUDIENCE: '*' }, 'OIDC_AUDIENCE must not be *'],
    ['a provider without an audience', { OIDC_ISSUER: 'https://auth.example' }, 'OIDC_AUDIENCE is missing'],
    ['an audience without a provider', { OIDC_AUDIENCE: 'us' }, 'OIDC_AUDIENCE has no effect'],
    ['a provider over http', { ...oidc, OIDC_ISSUER: 'http://auth.example' }, 'OIDC_ISSUER is not a valid issuer URL'],
    ['a provider that is no URL', { ...oidc, OIDC_ISSUER: 'auth.example' }, 'OIDC_ISSUER is not a valid issuer URL'],
    ['one issuer twice', { JWT_SECRET: SECRET, ...issuer, ...oidc }, 'OIDC_ISSUER and JWT_ISSUER are the same'],
    ['an upstream over http', { UPSTREAM_AUTH_URL: 'http://auth.example' }, 'UPSTREAM_AUTH_URL is not valid'],
    ['an upstream with a password', { UPSTREAM_AUTH_URL: 'https://a:b@auth.example' }, 'UPSTREAM_AUTH_URL is not'],
    ['an upstream that is no URL', { UPSTREAM_AUTH_URL: 'auth.example' }, 'UPSTREAM_AUTH_URL is not valid'],
    ['our own issuer as upstream', { UPSTREAM_AUTH_URL: `${ISSUER}/` }, 'UPSTREAM_AUTH_URL is our own'],
    [
      'our own issuer as upstream under another loopback name',
      { ISSUER: 'http://localhost:3000', UPSTREAM_AUTH_URL: 'http://127.0.0.1:3000' },
      'UPSTREAM_AUTH_URL is our own',
    ],
    [
      'a path that changes the host',
      { UPSTREAM_AUTH_URL: 'https://auth.example', UPSTREAM_LOGIN_PATH: '@evil.example/' },
      'UPSTREAM_LOGIN_PATH',
    ],
    [
      'a path without a slash',
      { UPSTREAM_AUTH_URL: 'https://auth.example', UPSTREAM_PROFILE_PATH: 'me' },
      'UPSTREAM_PROFILE_PATH',
    ],
  ])('reject %s', (_name, environment, sentence) => {
    const errors = errorsOf({ ISSUER, ...environment });
    expect(errors, errors.join('\n')).toHaveLength(1);
    expect(errors[0]).toContain(sentence);
  });

  it('accept a loopback URL, with or without a trailing slash', () => {
    const { upstream } = readConfig({ ISSUER, UPSTREAM_AUTH_URL: 'http://localhost:4000/base/' });
    expect(upstream).toEqual({
      url: 'http://localhost:4000/base',
      loginPath: '/api/v1/auth/login-json',
      profilePath: '/api/v1/auth/me',
    });
  });
});

describe('isLoopback', () => {
  it.each(['localhost', '127.0.0.1', '127.9.9.9', '::1', '[::1]'])('accepts %s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(['localhost.example', '127.0.0.1.example', '128.0.0.1', '0.0.0.0', '10.0.0.1', 'xlocalhost', ''])(
    'rejects %j',
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
