/** Settings of federation: the external providers with which users can sign in. */
import { z } from 'zod';
import { isSecureUrl } from '../../kit/loopback.js';
import { defineTopic } from './base-config.js';
import {
  BUILT_IN_PROVIDER_IDS,
  BUILT_IN_PROVIDERS,
  type BuiltInProvider,
  type BuiltInProviderId,
} from './built-in-providers.js';
import { renameDeprecatedMembers } from './deprecated-names.js';
import { list, optional, parsed, type Setting, secret, string } from './setting.js';
import type { CheckResult, Values } from './topic.js';

export interface ProviderSettings {
  kind: BuiltInProviderId | 'oidc';
  /** Identifies the provider in our URLs: `github`. */
  id: string;
  /** The name on the button. */
  name: string;
  /**
   * Identifies a user together with the subject. The `issuer` of an OpenID provider. For a provider
   * that supports only OAuth 2.0, a URL that must never change.
   */
  issuer: string;
  clientId: string;
  /** Undefined for a public client. */
  clientSecret?: string | undefined;
  /**
   * Domains for which this provider is authoritative: it can verify their e-mail addresses.
   * `ALL_DOMAINS` for github.com only.
   */
  emailDomains: string[];
  /** Scopes that are requested in addition to those for sign-in, separated by spaces. */
  additionalScope: string;
  /** Whether the provider's tokens are stored. */
  storesTokens: boolean;
}

/** Stands for all domains. It is not a valid domain name, so it cannot be configured. */
export const ALL_DOMAINS = '*';

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;

type OidcProvider = z.output<typeof OidcProvider>;

const OidcProvider = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'must consist of lower-case letters, digits and -'),
  name: z.string().trim().min(1).max(40),
  issuer: z
    .string()
    .refine(isIssuer, 'must be https://… as in its discovery document, or http:// on a loopback address'),
  client_id: z.string().min(1),
  client_secret: z.string().min(1).optional(),
  email_domains: z.array(z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'must be a domain in lower case')).default([]),
  scope: z.string().regex(SCOPE, 'must be scopes separated by single spaces').default(''),
});

const settings = {
  ...builtInSettings(),
  githubUrl: string('GITHUB_URL', 'https://github.com', 'URL of GitHub, or of a GitHub Enterprise Server.'),
  oidcProviders: parsed(parseOidcProviders, {
    variable: 'OIDC_PROVIDERS',
    description:
      'More OpenID providers with which users can sign in. `email_domains`: domains for which the provider is authoritative, because it manages their e-mail addresses.',
    type: 'JSON: [{"id":"acme","name":"Acme","issuer":"https://id.acme.example","client_id":"…","client_secret":"…","email_domains":["acme.example"],"scope":"calendar.read"}]',
    isSecret: true,
  }),
  federationRedirectUris: list(
    'FEDERATION_REDIRECT_URIS',
    'Redirect URIs of apps that receive the code of an external provider and pass it to /api/v1/auth/…/callback.',
  ),
  storeTokens: list(
    'FEDERATION_STORE_TOKENS',
    `Providers whose access and refresh tokens are stored, encrypted: ${BUILT_IN_PROVIDER_IDS.join(', ')}, or ids of OIDC_PROVIDERS.`,
  ),
};

type FederationValues = Values<typeof settings>;

export const federation = defineTopic({
  title: 'Sign-in with external providers',
  settings,
  resolve: (values) => ({
    /** In the order of their buttons. */
    providers: configuredProviders(values),
    /** Redirect URIs that the JSON callbacks accept. */
    federationRedirectUris: values.federationRedirectUris,
  }),
  check(values, { providers, issuer: ownIssuer }) {
    const oidcIds = values.oidcProviders.map(({ id }) => id);
    const issuers = providers.map(({ issuer }) => normalizeIssuer(issuer));
    const configuredIds = providers.map(({ id }) => id);
    return [
      ...BUILT_IN_PROVIDERS.flatMap((provider) => checkBuiltIn(provider, values)),
      !isIssuer(values.githubUrl) && 'GITHUB_URL is not valid; allowed: a URL such as https://github.example.com',
      oidcIds.some((id) => (BUILT_IN_PROVIDER_IDS as readonly string[]).includes(id)) &&
        `OIDC_PROVIDERS contains a reserved id: ${BUILT_IN_PROVIDER_IDS.join(', ')}`,
      new Set(oidcIds).size < oidcIds.length && 'OIDC_PROVIDERS contains an id twice',
      new Set(issuers).size < issuers.length && 'OIDC_PROVIDERS contains an issuer twice',
      issuers.includes(normalizeIssuer(ownIssuer)) && 'OIDC_PROVIDERS contains our own ISSUER; allowed: other issuers',
      ...values.storeTokens.map(
        (id) =>
          !configuredIds.includes(id) &&
          `FEDERATION_STORE_TOKENS contains "${id}"; allowed: ${configuredIds.join(', ') || 'nothing, because no provider is configured'}`,
      ),
      ...values.federationRedirectUris.map(
        (uri) =>
          (!isRedirectUri(uri) || uri.startsWith(`${ownIssuer}/`)) &&
          `FEDERATION_REDIRECT_URIS contains "${uri}"; allowed: redirect URIs of apps such as https://app.example.com/callback`,
      ),
    ];
  },
});

/** Returns the settings that all built-in providers have. */
function builtInSettings() {
  const settings = BUILT_IN_PROVIDERS.flatMap(({ id, name, exampleScope }): [string, Setting<string | undefined>][] => {
    const prefix = id.toUpperCase();
    return [
      [`${id}ClientId`, optional(`${prefix}_CLIENT_ID`, `${name} OAuth client ID. Requires ${prefix}_CLIENT_SECRET.`)],
      [`${id}ClientSecret`, secret(`${prefix}_CLIENT_SECRET`, `${name} OAuth client secret.`)],
      [
        `${id}Scope`,
        optional(
          `${prefix}_SCOPE`,
          `More scopes to request, separated by spaces, such as ${exampleScope}. Requires ${id} in FEDERATION_STORE_TOKENS.`,
        ),
      ],
    ];
  });
  return Object.fromEntries(settings) as Record<
    `${BuiltInProviderId}${'ClientId' | 'ClientSecret' | 'Scope'}`,
    Setting<string | undefined>
  >;
}

function checkBuiltIn({ id }: BuiltInProvider, values: FederationValues): CheckResult[] {
  const prefix = id.toUpperCase();
  const [clientId, clientSecret] = [values[`${id}ClientId`], values[`${id}ClientSecret`]];
  const scope = values[`${id}Scope`];
  return [
    Boolean(clientId) !== Boolean(clientSecret) &&
      `${prefix}_CLIENT_ID and ${prefix}_CLIENT_SECRET must be set together`,
    scope && !SCOPE.test(scope) && `${prefix}_SCOPE is not valid; allowed: scopes separated by single spaces`,
    // Without stored tokens, users would consent to scopes that nothing uses.
    scope &&
      !values.storeTokens.includes(id) &&
      `${prefix}_SCOPE has no effect without stored tokens: add ${id} to FEDERATION_STORE_TOKENS, or remove the scopes`,
  ];
}

/** Parses OIDC_PROVIDERS. The messages of its errors quote no value, because some are secret. */
function parseOidcProviders(text: string): OidcProvider[] {
  let value: unknown;
  try {
    value = JSON.parse(text || '[]');
  } catch {
    throw new Error('is not JSON');
  }
  const entries = Array.isArray(value) ? value.map((entry) => renameDeprecatedMembers('OIDC_PROVIDERS', entry)) : value;
  const result = z.array(OidcProvider).safeParse(entries);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const [index, ...members] = path;
  const location = typeof index === 'number' ? `in entry ${index + 1}, ${members.join('.')}` : 'it';
  throw new Error(`is not valid: ${location.trimEnd()} ${message}`);
}

/** Returns the built-in providers that have a client ID, and then those of OIDC_PROVIDERS. */
function configuredProviders(values: FederationValues): ProviderSettings[] {
  const builtIn = BUILT_IN_PROVIDERS.flatMap((provider) => {
    const { id, name } = provider;
    const [clientId, clientSecret] = [values[`${id}ClientId`], values[`${id}ClientSecret`]];
    if (!clientId) return [];
    const common = { kind: id, id, name, clientId, clientSecret, additionalScope: values[`${id}Scope`] ?? '' };
    if (provider.id === 'github') return [{ ...common, ...githubServer(values.githubUrl) }];
    return [{ ...common, issuer: provider.issuer, emailDomains: [] }];
  });
  const oidc = values.oidcProviders.map(({ client_id, client_secret, email_domains, scope, ...rest }) => ({
    kind: 'oidc' as const,
    ...rest,
    clientId: client_id,
    clientSecret: client_secret,
    emailDomains: email_domains,
    additionalScope: scope,
  }));
  return [...builtIn, ...oidc].map((provider) => ({
    ...provider,
    storesTokens: values.storeTokens.includes(provider.id),
  }));
}

/**
 * Returns the settings that depend on GITHUB_URL. Only github.com is authoritative for e-mail
 * addresses: see core/federation/providers/github.ts.
 */
function githubServer(url: string): Pick<ProviderSettings, 'issuer' | 'emailDomains'> {
  const issuer = `${url.replace(/\/+$/, '')}/login/oauth`;
  return { issuer, emailDomains: URL.parse(issuer)?.origin === 'https://github.com' ? [ALL_DOMAINS] : [] };
}

/** Reports whether the text is a secure URL without query, fragment, user or spaces. */
function isIssuer(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isSecureUrl(url) && !/[?#@\s]/.test(text);
}

/**
 * Reports whether the text is https, http on a loopback host, or a private-use scheme (RFC 8252).
 */
function isRedirectUri(text: string): boolean {
  const url = URL.parse(text);
  if (!url || /[#*\s]/.test(text)) return false;
  return /^https?:$/.test(url.protocol)
    ? isSecureUrl(url) && !url.username
    : /^[a-z][a-z0-9+-]*\.[a-z0-9.+-]+:$/.test(url.protocol);
}

const normalizeIssuer = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');
