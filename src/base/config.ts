/** The settings: the only place that reads the environment. Every fault is told at once, by the name of its variable. */
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { type CertificateConfig, certificateFaults, certificatesOf } from './certificate-config.js';
import { durationSeconds } from './duration.js';
import {
  federationFaults,
  type OidcProvider,
  type ProviderSettings,
  parseOidcProviders,
  providersOf,
} from './federation-config.js';
import { type ForeignIssuer, foreignFaults, foreignIssuersOf } from './foreign-issuers.js';
import { isLoopback } from './loopback.js';
import { type Mailbox, parseMailbox, parseSmtpUrl, type SmtpServer } from './mail/settings.js';
import { type UpstreamConfig, upstreamFaults, upstreamOf } from './upstream-config.js';

/** One variable: what it is for, what it may hold, what it is when it is not set. */
interface Setting<T> {
  about: string;
  allowed: string;
  /** Shown in .env.example; the empty string when there is none. */
  fallback: string;
  /** Returns the value, or throws what is wrong with it. */
  parse(text: string): T;
}

const MIN_SECRET_LENGTH = 32;
/** What fits into an Authorization header (RFC 6750, 2.1). */
const BEARER_TOKEN = /^[\w.~+/-]{32,}=*$/;

/** All settings, in the order of .env.example. */
export const settings = {
  NODE_ENV: oneOf(['development', 'production', 'test'], 'development', 'production refuses unsafe settings'),
  PORT: whole(0, 65_535, 3000, 'where it listens; 0 takes any free port'),
  HOST: text('', 'the address that it listens on; all of them when empty'),
  ISSUER: text('', 'its public URL, without a path; http://localhost:<PORT> when empty'),
  BRAND_NAME: text('Signet', 'the name on the pages'),
  DATA_DIR: text('./data', 'where the embedded database and the master secret live'),
  DATABASE_URL: text('', 'postgresql://… or file:<path>[?synchronous=normal]; SQLite in DATA_DIR when empty'),
  DATABASE_POOL: whole(1, 500, 10, 'PostgreSQL connections of one process'),
  REDIS_URL: text('', 'redis://… or rediss://…; short-lived state then lives there'),
  REDIS_PREFIX: text('signet:', 'in front of every Redis key'),
  WEB_CONCURRENCY: whole(1, 64, 1, 'server processes; more than one needs PostgreSQL'),
  SECRET: text('', 'master secret, at least 32 characters; made in DATA_DIR when empty'),
  SECRET_PREVIOUS: text('', 'the master secret before the last change'),
  TRUSTED_PROXIES: list('', 'addresses or networks of reverse proxies whose X-Forwarded-For is believed'),
  CLIENT_CERT_HEADER: text(
    'X-Client-Cert',
    'in it, TRUSTED_PROXIES hand on the certificate of a client, as URL-encoded PEM or base64 DER',
  ),
  CLIENT_CA_FILE: text('', 'authorities (PEM) whose certificates prove which OAuth client it is (tls_client_auth)'),
  SPIFFE_TRUST_DOMAIN: text('', 'the trust domain whose workloads are known by their certificate or token'),
  SPIFFE_TRUSTED_DOMAINS: list('', 'more of them'),
  SPIFFE_BUNDLES: text('', 'the folder with the bundle of each of them, <trust domain>.json'),
  TLS_CERT_FILE: text('', 'certificate chain (PEM), where no proxy ends TLS: then this server speaks https itself'),
  TLS_KEY_FILE: text('', 'the key of TLS_CERT_FILE'),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info', 'how much is logged'),
  SMTP_URL: mailServer(
    '',
    'the mail server; when empty, development keeps mails in DATA_DIR/outbox, and production sends none',
  ),
  MAIL_FROM: mailbox('', 'the sender of mails; <BRAND_NAME> <no-reply@<host of ISSUER>> when empty'),
  SIGNUP: oneOf(['open', 'closed'], 'open', 'whether strangers may make an account'),
  BOOTSTRAP_ADMIN_EMAIL: text('', 'with the next one: makes the first administrator, if there is none'),
  BOOTSTRAP_ADMIN_PASSWORD: text('', 'see BOOTSTRAP_ADMIN_EMAIL'),
  REGISTRATION: oneOf(['open', 'token', 'closed'], 'open', 'who may register OAuth clients (RFC 7591)'),
  REGISTRATION_TOKEN: text('', 'the bearer token for REGISTRATION=token, at least 32 characters'),
  CLIENT_DOCUMENTS: oneOf(
    ['auto', 'on', 'off'],
    'auto',
    'apps whose client_id is the https address of a document that describes them; auto: where REGISTRATION=open',
  ),
  REAP_UNUSED_CLIENTS: duration(
    '7d',
    'when a client that registered itself goes that never signed anybody in; 0s = never',
  ),
  REAP_IDLE_CLIENTS: duration(
    '90d',
    'when one goes that was not used for so long, and has no living grant; 0s = never',
  ),
  REDIRECT_HOSTS: list(
    '',
    'if set, the only hosts that registered clients may redirect to; *.example.com takes sub-domains',
  ),
  DEFAULT_RESOURCE: text('', 'the registered API that apps mean which name none (RFC 8707) but ask for its scopes'),
  AGENT_ONBOARDING: oneOf(
    ['open', 'token', 'closed'],
    'open',
    'which strangers may onboard agents; administrators of an organization always may, into it',
  ),
  AGENT_ONBOARDING_TOKEN: text('', 'the bearer token for AGENT_ONBOARDING=token, at least 32 characters'),
  FETCH_PRIVATE_HOSTS: list('', 'hosts in private networks that client metadata and logout URLs may point to'),
  CORS_ALLOWED_ORIGINS: list('', 'origins of browser apps that may call the JSON API, such as https://app.example.com'),
  RATE_LIMIT_ANONYMOUS: whole(0, 1e6, 20, 'requests a minute from one address without a credential; 0 = no limit'),
  RATE_LIMIT_HUMAN: whole(0, 1e6, 200, 'requests a minute of one person'),
  RATE_LIMIT_AGENT: whole(0, 1e6, 1000, 'requests a minute of one agent, client or API key'),
  RATE_LIMIT_DEFAULT: whole(0, 1e6, 100, 'requests a minute from one address with a credential that stands for nobody'),
  RATE_LIMIT_VALIDATE: whole(0, 1e6, 6000, 'times a minute that a tool may ask about its visitors, from one address'),
  API_COOKIE_PREFIX: text('cap', 'the cookies of the JSON API are <prefix>_access, <prefix>_refresh and <prefix>_csrf'),
  TOOLS_COOKIE: text('tools_session', 'the cookie of POST /api/login'),
  TEST_AUTH: oneOf(['true', 'false'], 'false', 'endpoints that make test users; for sandboxes only'),
  ACCESS_TOKEN_TTL: duration('8h', 'how long an access token lives'),
  COOKIE_ACCESS_TTL: duration('15m', "how long an access token in a browser's cookie lives"),
  TOOLS_TOKEN_TTL: duration('7d', 'how long the token of POST /api/token lives, and the cookie of POST /api/login'),
  API_KEY_TTL: duration('90d', 'how long an API key lives when its maker says nothing about it'),
  REFRESH_TOKEN_TTL: duration('7d', 'how long a refresh token lives when it is not used'),
  REFRESH_RETRY_WINDOW: duration('10s', 'how long a lost answer to a refresh may be asked for again; 0s = never'),
  SESSION_TTL: duration('14d', "how long a browser's sign-in lasts"),
  SESSION_MAX: duration('30d', 'when a login and its refresh tokens end for good'),
  KEY_ROTATION: duration('90d', 'how old a signing key may become before a new one takes over'),
  PASSWORD_HASH_COST: whole(4, 15, 12, 'bcrypt cost; below 10 only in tests'),
  PASSWORD_POLICY: oneOf(
    ['standard', 'strict'],
    'standard',
    'strict also wants capital and small letters, a digit and a sign',
  ),
  PWNED_PASSWORDS: oneOf(
    ['on', 'off'],
    'off',
    'whether new passwords are looked up among stolen ones; nobody learns them',
  ),
  PWNED_PASSWORDS_URL: text('https://api.pwnedpasswords.com/range/', 'the range API that is asked'),
  UPSTREAM_AUTH_URL: text(
    '',
    'the provider whose accounts proxy login takes, such as https://auth.example.com; ' +
      'a Signet must have our address in its TRUSTED_PROXIES, else one stranger uses up the guesses of all',
  ),
  UPSTREAM_LOGIN_PATH: text('/api/v1/auth/login-json', 'where it takes e-mail and password as JSON'),
  UPSTREAM_PROFILE_PATH: text('/api/v1/auth/me', 'where it says whose its token is'),
  JWT_SECRET: text('', 'accepts tokens that another system signs with HS256 and this secret, of at least 32 bytes'),
  JWT_PUBLIC_KEY: text('', 'the same for RS256 or ES256, by the kind of this key (PEM; \\n stands for a new line)'),
  JWT_ISSUER: text('', 'the `iss` of those tokens'),
  JWT_AUDIENCE: text('', 'the `aud` of those tokens; * if any will do'),
  OIDC_ISSUER: text('', 'accepts tokens of this OpenID provider, by its discovery document'),
  OIDC_AUDIENCE: text('', 'the `aud` of those tokens'),
  GITHUB_CLIENT_ID: text('', 'with the next one: people may sign in with GitHub'),
  GITHUB_CLIENT_SECRET: text('', 'see GITHUB_CLIENT_ID'),
  GITHUB_URL: text('https://github.com', 'another one for GitHub Enterprise'),
  GOOGLE_CLIENT_ID: text('', 'with the next one: people may sign in with Google'),
  GOOGLE_CLIENT_SECRET: text('', 'see GOOGLE_CLIENT_ID'),
  LINKEDIN_CLIENT_ID: text('', 'with the next one: people may sign in with LinkedIn'),
  LINKEDIN_CLIENT_SECRET: text('', 'see LINKEDIN_CLIENT_ID'),
  OIDC_PROVIDERS: oidcProviders('', 'OpenID providers with which people may sign in'),
  FEDERATION_REDIRECT_URIS: list(
    '',
    'addresses to which apps let GitHub and the others send a code, which they then hand to /api/v1/auth/…/callback',
  ),
} satisfies Record<string, Setting<unknown>>;

type Values = { [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]['parse']> };

export interface Config {
  production: boolean;
  development: boolean;
  port: number;
  host: string | undefined;
  issuer: string;
  brandName: string;
  dataDir: string;
  databaseUrl: string;
  databasePool: number;
  redisUrl: string | undefined;
  redisPrefix: string;
  processes: number;
  secret: string | undefined;
  secretPrevious: string | undefined;
  trustedProxies: string[];
  certificates: CertificateConfig;
  logLevel: string;
  smtp: SmtpServer | undefined;
  mailFrom: Mailbox;
  signup: 'open' | 'closed';
  bootstrapAdmin: { email: string; password: string } | undefined;
  registration: 'open' | 'token' | 'closed';
  registrationToken: string | undefined;
  clientDocuments: boolean;
  /** 0 is never; so is the next. */
  reapUnusedSeconds: number;
  reapIdleSeconds: number;
  redirectHosts: string[];
  defaultResource: string | undefined;
  agentOnboarding: 'open' | 'token' | 'closed';
  agentOnboardingToken: string | undefined;
  fetchPrivateHosts: string[];
  corsAllowedOrigins: string[];
  /** Requests a minute; 0 is no limit. */
  rateLimits: { anonymous: number; human: number; agent: number; default: number; validate: number };
  apiCookiePrefix: string;
  toolsCookie: string;
  testAuth: boolean;
  accessTokenSeconds: number;
  cookieAccessSeconds: number;
  toolsTokenSeconds: number;
  apiKeySeconds: number;
  refreshTokenSeconds: number;
  refreshRetrySeconds: number;
  sessionSeconds: number;
  sessionMaxSeconds: number;
  keyRotationSeconds: number;
  passwordHashCost: number;
  passwordPolicy: 'standard' | 'strict';
  /** Ends with a slash; undefined when nobody is asked. */
  pwnedPasswordsUrl: string | undefined;
  upstream: UpstreamConfig | undefined;
  foreignIssuers: ForeignIssuer[];
  /** By whom people may sign in, in the order of the buttons. */
  providers: ProviderSettings[];
  /** Where codes for the JSON callbacks may have been sent. */
  federationRedirectUris: string[];
}

/** What is wrong with the settings: one sentence each, every one with the name of its variable. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly faults: string[]) {
    super(`The settings are not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

/** Adds what the file `.env` in the working directory says, where there is one. What is set already stands. */
export function loadEnvFile(): void {
  if (existsSync('.env')) process.loadEnvFile('.env');
}

/** Reads the settings. Throws a ConfigError with all faults at once. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const faults: string[] = [];
  const values = {} as Record<string, unknown>;
  for (const [name, setting] of Object.entries(settings)) {
    const text = environment[name]?.trim() || setting.fallback;
    try {
      values[name] = setting.parse(text);
    } catch (error) {
      faults.push(`${name} ${(error as Error).message}; allowed: ${setting.allowed}`);
      values[name] = setting.parse(setting.fallback);
    }
  }
  const config = toConfig(values as Values);
  faults.push(...contradictions(config, values as Values));
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

function toConfig(values: Values): Config {
  const issuer = (values.ISSUER || new URL(`http://localhost:${values.PORT}`).origin).replace(/\/$/, '');
  const senderHost = URL.parse(issuer)?.hostname ?? 'localhost';
  return {
    production: values.NODE_ENV === 'production',
    development: values.NODE_ENV === 'development',
    port: values.PORT,
    host: values.HOST || undefined,
    issuer,
    brandName: values.BRAND_NAME,
    dataDir: values.DATA_DIR,
    databaseUrl: values.DATABASE_URL || `file:${join(values.DATA_DIR, 'signet.db')}`,
    databasePool: values.DATABASE_POOL,
    redisUrl: values.REDIS_URL || undefined,
    redisPrefix: values.REDIS_PREFIX,
    processes: values.WEB_CONCURRENCY,
    secret: values.SECRET || undefined,
    secretPrevious: values.SECRET_PREVIOUS || undefined,
    trustedProxies: values.TRUSTED_PROXIES,
    certificates: certificatesOf(values),
    logLevel: values.LOG_LEVEL,
    smtp: values.SMTP_URL,
    mailFrom: values.MAIL_FROM ?? { name: values.BRAND_NAME, address: `no-reply@${senderHost}` },
    signup: values.SIGNUP,
    bootstrapAdmin: values.BOOTSTRAP_ADMIN_EMAIL
      ? { email: values.BOOTSTRAP_ADMIN_EMAIL, password: values.BOOTSTRAP_ADMIN_PASSWORD }
      : undefined,
    registration: values.REGISTRATION,
    registrationToken: values.REGISTRATION_TOKEN || undefined,
    clientDocuments:
      values.CLIENT_DOCUMENTS === 'auto' ? values.REGISTRATION === 'open' : values.CLIENT_DOCUMENTS === 'on',
    reapUnusedSeconds: values.REAP_UNUSED_CLIENTS,
    reapIdleSeconds: values.REAP_IDLE_CLIENTS,
    redirectHosts: values.REDIRECT_HOSTS,
    defaultResource: values.DEFAULT_RESOURCE || undefined,
    agentOnboarding: values.AGENT_ONBOARDING,
    agentOnboardingToken: values.AGENT_ONBOARDING_TOKEN || undefined,
    fetchPrivateHosts: values.FETCH_PRIVATE_HOSTS,
    corsAllowedOrigins: values.CORS_ALLOWED_ORIGINS,
    rateLimits: {
      anonymous: values.RATE_LIMIT_ANONYMOUS,
      human: values.RATE_LIMIT_HUMAN,
      agent: values.RATE_LIMIT_AGENT,
      default: values.RATE_LIMIT_DEFAULT,
      validate: values.RATE_LIMIT_VALIDATE,
    },
    apiCookiePrefix: values.API_COOKIE_PREFIX,
    toolsCookie: values.TOOLS_COOKIE,
    testAuth: values.TEST_AUTH === 'true',
    accessTokenSeconds: values.ACCESS_TOKEN_TTL,
    cookieAccessSeconds: values.COOKIE_ACCESS_TTL,
    toolsTokenSeconds: values.TOOLS_TOKEN_TTL,
    apiKeySeconds: values.API_KEY_TTL,
    refreshTokenSeconds: values.REFRESH_TOKEN_TTL,
    refreshRetrySeconds: values.REFRESH_RETRY_WINDOW,
    sessionSeconds: values.SESSION_TTL,
    sessionMaxSeconds: values.SESSION_MAX,
    keyRotationSeconds: values.KEY_ROTATION,
    passwordHashCost: values.PASSWORD_HASH_COST,
    passwordPolicy: values.PASSWORD_POLICY,
    pwnedPasswordsUrl: values.PWNED_PASSWORDS === 'on' ? values.PWNED_PASSWORDS_URL.replace(/\/*$/, '/') : undefined,
    upstream: upstreamOf(values),
    foreignIssuers: foreignIssuersOf(values),
    providers: providersOf(values),
    federationRedirectUris: values.FEDERATION_REDIRECT_URIS,
  };
}

/** What each value alone does not show. */
function contradictions(config: Config, values: Values): string[] {
  const faults: string[] = [];
  const must = (condition: boolean, fault: string) => condition || faults.push(fault);
  const postgresql = /^postgres(ql)?:\/\//.test(config.databaseUrl);

  const issuer = URL.parse(config.issuer);
  if (!issuer || !/^https?:$/.test(issuer.protocol) || issuer.origin !== config.issuer) {
    faults.push(
      'ISSUER is not an origin; allowed: https://id.example.com, without path, query, port 443 or trailing slash',
    );
  } else {
    must(
      !config.production || issuer.protocol === 'https:' || isLoopback(issuer.hostname),
      'ISSUER is http: in production it must be https, or a loopback address behind a tunnel; set ISSUER=https://<your host>',
    );
  }
  must(postgresql || config.databaseUrl.startsWith('file:'), 'DATABASE_URL must start with postgresql:// or file:');
  must(!config.redisUrl || /^rediss?:\/\//.test(config.redisUrl), 'REDIS_URL must start with redis:// or rediss://');
  must(
    postgresql || config.processes === 1,
    'WEB_CONCURRENCY is more than 1, but SQLite belongs to one server process; set DATABASE_URL=postgresql://…, or leave it at 1',
  );
  must(
    !config.secret || config.secret.length >= MIN_SECRET_LENGTH,
    `SECRET has fewer than ${MIN_SECRET_LENGTH} characters`,
  );
  must(
    !config.production || !postgresql || Boolean(config.secret),
    'SECRET is missing: in production on PostgreSQL every process must be given the same one; make one with: openssl rand -base64 32',
  );
  must(
    config.defaultResource === undefined || URL.canParse(config.defaultResource),
    'DEFAULT_RESOURCE is no absolute URI; allowed: the identifier of a registered API, such as https://api.example.com/v1',
  );
  must(
    Boolean(values.BOOTSTRAP_ADMIN_EMAIL) === Boolean(values.BOOTSTRAP_ADMIN_PASSWORD),
    'BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD must be set together, or neither',
  );
  must(
    config.registration !== 'token' || BEARER_TOKEN.test(config.registrationToken ?? ''),
    `REGISTRATION_TOKEN must have at least ${MIN_SECRET_LENGTH} characters when REGISTRATION=token: letters, digits and -._~+/=`,
  );
  must(
    config.agentOnboarding !== 'token' || BEARER_TOKEN.test(config.agentOnboardingToken ?? ''),
    `AGENT_ONBOARDING_TOKEN must have at least ${MIN_SECRET_LENGTH} characters when AGENT_ONBOARDING=token: letters, digits and -._~+/=`,
  );
  must(
    values.NODE_ENV === 'test' || config.passwordHashCost >= 10,
    'PASSWORD_HASH_COST is below 10, which only tests may use',
  );
  must(
    config.pwnedPasswordsUrl === undefined || /^https?:$/.test(URL.parse(config.pwnedPasswordsUrl)?.protocol ?? ''),
    'PWNED_PASSWORDS_URL is not a URL; allowed: https://…/range/, or http:// for a mirror on a network of your own',
  );
  for (const [name, seconds] of [
    ['ACCESS_TOKEN_TTL', config.accessTokenSeconds],
    ['COOKIE_ACCESS_TTL', config.cookieAccessSeconds],
    ['TOOLS_TOKEN_TTL', config.toolsTokenSeconds],
    ['API_KEY_TTL', config.apiKeySeconds],
    ['REFRESH_TOKEN_TTL', config.refreshTokenSeconds],
    ['SESSION_TTL', config.sessionSeconds],
    ['SESSION_MAX', config.sessionMaxSeconds],
    ['KEY_ROTATION', config.keyRotationSeconds],
  ] as const) {
    must(seconds > 0, `${name} must be longer than 0s`);
  }
  must(!config.production || !config.testAuth, 'TEST_AUTH makes accounts for anybody, so it is refused in production');
  must(
    /^[\w-]{1,40}$/.test(config.apiCookiePrefix),
    'API_COOKIE_PREFIX is no name of a cookie; allowed: letters, digits, - and _',
  );
  must(
    config.apiCookiePrefix !== 'signet',
    'API_COOKIE_PREFIX must differ from signet: so the cookies of the pages are named',
  );
  must(
    /^[\w-]{1,40}$/.test(config.toolsCookie) &&
      !['access', 'refresh', 'csrf'].some((suffix) => config.toolsCookie === `${config.apiCookiePrefix}_${suffix}`) &&
      !config.toolsCookie.startsWith('signet_'),
    'TOOLS_COOKIE is no name of a cookie, or that of another cookie; allowed: letters, digits, - and _',
  );
  faults.push(...upstreamFaults(config.upstream, config.issuer));
  faults.push(...foreignFaults(values, config));
  faults.push(...federationFaults(values, config.issuer));
  faults.push(...certificateFaults(values, config));
  for (const origin of config.corsAllowedOrigins) {
    must(
      URL.parse(origin)?.origin === origin && /^https?:[^*]+$/.test(origin),
      `CORS_ALLOWED_ORIGINS holds "${origin}"; allowed: origins such as https://app.example.com, without path or wildcard`,
    );
  }
  for (const proxy of config.trustedProxies) {
    const [address = '', bits] = proxy.split('/');
    const width = isIP(address) === 6 ? 128 : 32;
    must(
      isIP(address) > 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width)),
      `TRUSTED_PROXIES holds "${proxy}"; allowed: addresses and networks such as 10.0.0.0/8, separated by commas`,
    );
  }
  return faults;
}

function text(fallback: string, about: string): Setting<string> {
  return { about, allowed: 'text', fallback, parse: (value) => value };
}

function mailServer(fallback: string, about: string): Setting<SmtpServer | undefined> {
  const allowed = 'smtp://[user:password@]host[:port], encrypted by STARTTLS unless it ends in ?tls=off, or smtps://…';
  return { about, allowed, fallback, parse: (value) => (value ? parseSmtpUrl(value) : undefined) };
}

function mailbox(fallback: string, about: string): Setting<Mailbox | undefined> {
  const allowed = 'an address, or Name <address>';
  return { about, allowed, fallback, parse: (value) => (value ? parseMailbox(value) : undefined) };
}

function oidcProviders(fallback: string, about: string): Setting<OidcProvider[]> {
  const allowed =
    'JSON: [{"id":"acme","name":"Acme","issuer":"https://id.acme.example","client_id":"…","client_secret":"…","vouches_for":["acme.example"]}]';
  return { about, allowed, fallback, parse: parseOidcProviders };
}

function list(fallback: string, about: string): Setting<string[]> {
  const parse = (value: string) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
  return { about, allowed: 'a list, separated by commas', fallback, parse };
}

function whole(min: number, max: number, fallback: number, about: string): Setting<number> {
  const allowed = `a whole number from ${min} to ${max}`;
  return {
    about,
    allowed,
    fallback: String(fallback),
    parse(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) throw new Error(`is "${value}"`);
      return number;
    },
  };
}

function oneOf<const Value extends string>(values: Value[], fallback: Value, about: string): Setting<Value> {
  return {
    about,
    allowed: values.join(', '),
    fallback,
    parse(value) {
      if (!values.includes(value as Value)) throw new Error(`is "${value}"`);
      return value as Value;
    },
  };
}

/** Written as 30s, 15m, 8h, 7d or 2w; the value is in seconds. */
function duration(fallback: string, about: string): Setting<number> {
  return {
    about,
    allowed: 'a duration such as 30s, 15m, 8h, 7d or 2w',
    fallback,
    parse(value) {
      const seconds = durationSeconds(value);
      if (seconds === undefined) throw new Error(`is "${value}"`);
      return seconds;
    },
  };
}
