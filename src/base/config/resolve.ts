/**
 * What the settings come to: the words and units that the house uses, and what is meant when
 * nothing is said.
 */
import { join } from 'node:path';
import { type CertificateConfig, certificatesOf } from './certificates.js';
import { type ProviderSettings, providersOf } from './federation.js';
import type { Mailbox, SmtpServer } from './mail.js';
import type { ScopePreset } from './scope-preset.js';
import type { Values } from './settings.js';
import { type TrustedIssuer, trustedIssuersFrom } from './trusted-issuers.js';
import { type UpstreamConfig, upstreamOf } from './upstream.js';

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
  unusedClientSeconds: number;
  idleClientSeconds: number;
  redirectHosts: string[];
  defaultResource: string | undefined;
  scopePreset: ScopePreset;
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
  trustedIssuers: TrustedIssuer[];
  /** By whom people may sign in, in the order of the buttons. */
  providers: ProviderSettings[];
  /** Where codes for the JSON callbacks may have been sent. */
  federationRedirectUris: string[];
}

/** Never throws: what cannot be used is told by `validateConfig`. */
export function resolveConfig(values: Values): Config {
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
    unusedClientSeconds: values.REAP_UNUSED_CLIENTS,
    idleClientSeconds: values.REAP_IDLE_CLIENTS,
    redirectHosts: values.REDIRECT_HOSTS,
    defaultResource: values.DEFAULT_RESOURCE || undefined,
    scopePreset: values.SCOPE_PRESET,
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
    trustedIssuers: trustedIssuersFrom(values),
    providers: providersOf(values),
    federationRedirectUris: values.FEDERATION_REDIRECT_URIS,
  };
}
