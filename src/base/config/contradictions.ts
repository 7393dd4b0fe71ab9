/** What is wrong with the settings although each of them can be read: what a value alone does not show, one sentence for each fault. */
import { isIP } from 'node:net';
import { isLoopback } from '../loopback.js';
import { certificateFaults } from './certificates.js';
import { federationFaults } from './federation.js';
import { foreignFaults } from './foreign-issuers.js';
import type { Config } from './meaning.js';
import type { Values } from './settings.js';
import { upstreamFaults } from './upstream.js';

const MIN_SECRET_LENGTH = 32;
/** What fits into an Authorization header (RFC 6750, 2.1). */
const BEARER_TOKEN = /^[\w.~+/-]{32,}=*$/;

export function contradictions(config: Config, values: Values): string[] {
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
