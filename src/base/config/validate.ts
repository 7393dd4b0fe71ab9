/**
 * What is wrong with the settings although each of them can be read: what a value alone does not
 * show, one sentence for each fault.
 */
import { isIP } from 'node:net';
import { isLoopback } from '../loopback.js';
import { certificateErrors } from './certificates.js';
import { federationErrors } from './federation.js';
import type { Config } from './resolve.js';
import { failedRules, type Rule } from './rules.js';
import type { Values } from './settings.js';
import { trustedIssuerErrors } from './trusted-issuers.js';
import { upstreamErrors } from './upstream.js';

const MIN_SECRET_LENGTH = 32;
/** What fits into an Authorization header (RFC 6750, 2.1). */
const BEARER_TOKEN = /^[\w.~+/-]{32,}=*$/;
const COOKIE_NAME = /^[\w-]{1,40}$/;

export function validateConfig(config: Config, values: Values): string[] {
  return [
    ...failedRules([
      ...ofAddresses(config),
      ...ofStores(config),
      ...ofSecrets(config),
      ...ofAccounts(config, values),
      ...ofLifetimes(config),
      ...ofCookies(config),
    ]),
    ...upstreamErrors(config.upstream, config.issuer),
    ...trustedIssuerErrors(values, config),
    ...federationErrors(values, config.issuer),
    ...certificateErrors(values, config),
  ];
}

function ofAddresses(config: Config): Rule[] {
  const issuer = URL.parse(config.issuer);
  const isOrigin = issuer !== null && /^https?:$/.test(issuer.protocol) && issuer.origin === config.issuer;
  return [
    [
      !isOrigin,
      'ISSUER is not an origin; allowed: https://id.example.com, without path, query, port 443 or trailing slash',
    ],
    [
      isOrigin && config.production && issuer.protocol !== 'https:' && !isLoopback(issuer.hostname),
      'ISSUER is http: in production it must be https, or a loopback address behind a tunnel; set ISSUER=https://<your host>',
    ],
    [
      config.defaultResource !== undefined && !URL.canParse(config.defaultResource),
      'DEFAULT_RESOURCE is no absolute URI; allowed: the identifier of a registered API, such as https://api.example.com/v1',
    ],
    ...config.corsAllowedOrigins.map(
      (origin): Rule => [
        URL.parse(origin)?.origin !== origin || !/^https?:[^*]+$/.test(origin),
        `CORS_ALLOWED_ORIGINS holds "${origin}"; allowed: origins such as https://app.example.com, without path or wildcard`,
      ],
    ),
    ...config.trustedProxies.map(
      (proxy): Rule => [
        !isNetwork(proxy),
        `TRUSTED_PROXIES holds "${proxy}"; allowed: addresses and networks such as 10.0.0.0/8, separated by commas`,
      ],
    ),
    ...config.redirectHosts.map(
      (host): Rule => [
        !isHost(host.replace(/^\*\./, '')),
        `REDIRECT_HOSTS holds "${host}"; allowed: hosts such as app.example.com or *.example.com, in small letters`,
      ],
    ),
    ...config.fetchPrivateHosts.map(
      (host): Rule => [
        !isHost(host.replace(/:\d+$/, '')),
        `FETCH_PRIVATE_HOSTS holds "${host}"; allowed: hosts such as intra.example.com or 10.0.0.5:8443, in small letters`,
      ],
    ),
  ];
}

function ofStores({ databaseUrl, redisUrl, processes }: Config): Rule[] {
  const postgresql = isPostgresql(databaseUrl);
  return [
    [!postgresql && !databaseUrl.startsWith('file:'), 'DATABASE_URL must start with postgresql:// or file:'],
    [Boolean(redisUrl) && !/^rediss?:\/\//.test(redisUrl!), 'REDIS_URL must start with redis:// or rediss://'],
    [
      !postgresql && processes > 1,
      'WEB_CONCURRENCY is more than 1, but SQLite belongs to one server process; set DATABASE_URL=postgresql://…, or leave it at 1',
    ],
  ];
}

function ofSecrets(config: Config): Rule[] {
  const { production, databaseUrl, secret, secretPrevious, registration, registrationToken, agentOnboarding } = config;
  const isShort = (text: string | undefined) => text !== undefined && text.length < MIN_SECRET_LENGTH;
  return [
    [isShort(secret), `SECRET has fewer than ${MIN_SECRET_LENGTH} characters`],
    [
      isShort(secretPrevious),
      `SECRET_PREVIOUS has fewer than ${MIN_SECRET_LENGTH} characters: no SECRET was ever so short`,
    ],
    [
      production && isPostgresql(databaseUrl) && !secret,
      'SECRET is missing: in production on PostgreSQL every process must be given the same one; make one with: openssl rand -base64 32',
    ],
    [
      registration === 'token' && !BEARER_TOKEN.test(registrationToken ?? ''),
      `REGISTRATION_TOKEN must have at least ${MIN_SECRET_LENGTH} characters when REGISTRATION=token: letters, digits and -._~+/=`,
    ],
    [
      agentOnboarding === 'token' && !BEARER_TOKEN.test(config.agentOnboardingToken ?? ''),
      `AGENT_ONBOARDING_TOKEN must have at least ${MIN_SECRET_LENGTH} characters when AGENT_ONBOARDING=token: letters, digits and -._~+/=`,
    ],
  ];
}

function ofAccounts({ production, testAuth, passwordHashCost, pwnedPasswordsUrl }: Config, values: Values): Rule[] {
  return [
    [
      Boolean(values.BOOTSTRAP_ADMIN_EMAIL) !== Boolean(values.BOOTSTRAP_ADMIN_PASSWORD),
      'BOOTSTRAP_ADMIN_EMAIL and BOOTSTRAP_ADMIN_PASSWORD must be set together, or neither',
    ],
    [values.NODE_ENV !== 'test' && passwordHashCost < 10, 'PASSWORD_HASH_COST is below 10, which only tests may use'],
    [
      pwnedPasswordsUrl !== undefined && !/^https?:$/.test(URL.parse(pwnedPasswordsUrl)?.protocol ?? ''),
      'PWNED_PASSWORDS_URL is not a URL; allowed: https://…/range/, or http:// for a mirror on a network of your own',
    ],
    [production && testAuth, 'TEST_AUTH makes accounts for anybody, so it is refused in production'],
  ];
}

function ofLifetimes(config: Config): Rule[] {
  const lifetimes = {
    ACCESS_TOKEN_TTL: config.accessTokenSeconds,
    COOKIE_ACCESS_TTL: config.cookieAccessSeconds,
    TOOLS_TOKEN_TTL: config.toolsTokenSeconds,
    API_KEY_TTL: config.apiKeySeconds,
    REFRESH_TOKEN_TTL: config.refreshTokenSeconds,
    SESSION_TTL: config.sessionSeconds,
    SESSION_MAX: config.sessionMaxSeconds,
    KEY_ROTATION: config.keyRotationSeconds,
  };
  return Object.entries(lifetimes).map(([name, seconds]) => [seconds <= 0, `${name} must be longer than 0s`]);
}

function ofCookies({ apiCookiePrefix: prefix, toolsCookie }: Config): Rule[] {
  const others = ['access', 'refresh', 'csrf'].map((suffix) => `${prefix}_${suffix}`);
  return [
    [!COOKIE_NAME.test(prefix), 'API_COOKIE_PREFIX is no name of a cookie; allowed: letters, digits, - and _'],
    [prefix === 'signet', 'API_COOKIE_PREFIX must differ from signet: so the cookies of the pages are named'],
    [
      !COOKIE_NAME.test(toolsCookie) || others.includes(toolsCookie) || toolsCookie.startsWith('signet_'),
      'TOOLS_COOKIE is no name of a cookie, or that of another cookie; allowed: letters, digits, - and _',
    ],
  ];
}

const isPostgresql = (databaseUrl: string) => /^postgres(ql)?:\/\//.test(databaseUrl);

/** As `URL` has it: a name in small letters, or an address. */
const isHost = (text: string) => !text.includes('*') && URL.parse(`http://${text}`)?.hostname === text;

/** An address, or a network such as 10.0.0.0/8. */
function isNetwork(text: string): boolean {
  const [address = '', bits] = text.split('/');
  const width = isIP(address) === 6 ? 128 : 32;
  return isIP(address) > 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width));
}
