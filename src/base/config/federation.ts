/** Federation: the external providers with which users can sign in. */
import { z } from 'zod';
import { isSecureUrl } from '../../kit/loopback.js';
import { defineTopic } from './base-config.js';
import { renameDeprecatedMembers } from './deprecated-names.js';
import { list, optional, parsed, secret, string } from './setting.js';
import type { Values } from './topic.js';

export interface ProviderSettings {
  kind: 'github' | 'google' | 'linkedin' | 'oidc';
  /** In our URLs: `github`. */
  id: string;
  /** On the button. */
  name: string;
  /** Its issuer. Users are identified by it and by their subject. */
  issuer: string;
  clientId: string;
  /** Undefined for a public client. */
  clientSecret?: string | undefined;
  /**
   * Domains whose e-mail addresses this provider can verify. `ALL_DOMAINS` for github.com only.
   */
  emailDomains: string[];
  /** Scopes that are requested in addition to those for sign-in, separated by spaces. */
  moreScope: string;
  /** Whether the provider's tokens are stored. */
  storesTokens: boolean;
}

/** Not a valid domain name. */
export const ALL_DOMAINS = '*';

const BUILT_IN = ['github', 'google', 'linkedin'] as const;
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
  githubClientId: optional('GITHUB_CLIENT_ID', 'GitHub OAuth client ID. Requires GITHUB_CLIENT_SECRET.'),
  githubClientSecret: secret('GITHUB_CLIENT_SECRET', 'GitHub OAuth client secret.'),
  githubUrl: string('GITHUB_URL', 'https://github.com', 'URL of GitHub, or of a GitHub Enterprise Server.'),
  githubScope: optional(
    'GITHUB_SCOPE',
    'More scopes to request, separated by spaces, such as public_repo gist. Requires github in FEDERATION_STORE_TOKENS.',
  ),
  googleClientId: optional('GOOGLE_CLIENT_ID', 'Google OAuth client ID. Requires GOOGLE_CLIENT_SECRET.'),
  googleClientSecret: secret('GOOGLE_CLIENT_SECRET', 'Google OAuth client secret.'),
  googleScope: optional(
    'GOOGLE_SCOPE',
    'More scopes to request, such as https://www.googleapis.com/auth/calendar.readonly. Requires google in FEDERATION_STORE_TOKENS.',
  ),
  linkedinClientId: optional('LINKEDIN_CLIENT_ID', 'LinkedIn OAuth client ID. Requires LINKEDIN_CLIENT_SECRET.'),
  linkedinClientSecret: secret('LINKEDIN_CLIENT_SECRET', 'LinkedIn OAuth client secret.'),
  linkedinScope: optional(
    'LINKEDIN_SCOPE',
    'More scopes to request, such as w_member_social. Requires linkedin in FEDERATION_STORE_TOKENS.',
  ),
  oidcProviders: parsed(parseOidcProviders, {
    variable: 'OIDC_PROVIDERS',
    description:
      'More OpenID providers with which users can sign in. `email_domains` lists the domains whose e-mail addresses the provider can verify.',
    type: 'JSON: [{"id":"acme","name":"Acme","issuer":"https://id.acme.example","client_id":"…","client_secret":"…","email_domains":["acme.example"],"scope":"calendar.read"}]',
    isSecret: true,
  }),
  federationRedirectUris: list(
    'FEDERATION_REDIRECT_URIS',
    'Redirect URIs of apps that receive the code of an external provider and pass it to /api/v1/auth/…/callback.',
  ),
  storeTokens: list(
    'FEDERATION_STORE_TOKENS',
    'Providers whose access and refresh tokens are stored, encrypted: github, google, linkedin, or ids of OIDC_PROVIDERS.',
  ),
};

export const federation = defineTopic({
  title: 'Sign-in with external providers',
  settings,
  resolve: (values) => ({
    /** In the order of the buttons. */
    providers: providersOf(values),
    /** Redirect URIs that the JSON callbacks accept. */
    federationRedirectUris: values.federationRedirectUris,
  }),
  check(values, { providers, issuer: ownIssuer }) {
    const ids = values.oidcProviders.map(({ id }) => id);
    const issuers = providers.map(({ issuer }) => normalize(issuer));
    const known = providers.map(({ id }) => id);
    return [
      ...BUILT_IN.flatMap((id) => {
        const variable = id.toUpperCase();
        const [clientId, clientSecret] = [values[`${id}ClientId`], values[`${id}ClientSecret`]];
        const scope = values[`${id}Scope`];
        return [
          Boolean(clientId) !== Boolean(clientSecret) &&
            `${variable}_CLIENT_ID and ${variable}_CLIENT_SECRET must be set together`,
          scope && !SCOPE.test(scope) && `${variable}_SCOPE is not valid; allowed: scopes separated by single spaces`,
          // Without stored tokens, users would consent to scopes that nothing uses.
          scope &&
            !values.storeTokens.includes(id) &&
            `${variable}_SCOPE has no effect without stored tokens: add ${id} to FEDERATION_STORE_TOKENS, or remove the scopes`,
        ];
      }),
      !isIssuer(values.githubUrl) && 'GITHUB_URL is not valid; allowed: a URL such as https://github.example.com',
      ids.some((id) => (BUILT_IN as readonly string[]).includes(id)) &&
        `OIDC_PROVIDERS contains a reserved id: ${BUILT_IN.join(', ')}`,
      new Set(ids).size < ids.length && 'OIDC_PROVIDERS contains an id twice',
      new Set(issuers).size < issuers.length && 'OIDC_PROVIDERS contains an issuer twice',
      issuers.includes(normalize(ownIssuer)) && 'OIDC_PROVIDERS contains our own ISSUER; allowed: other issuers',
      ...values.storeTokens.map(
        (id) =>
          !known.includes(id) &&
          `FEDERATION_STORE_TOKENS contains "${id}"; allowed: ${known.join(', ') || 'nothing, because no provider is configured'}`,
      ),
      ...values.federationRedirectUris.map(
        (uri) =>
          (!isRedirectUri(uri) || uri.startsWith(`${ownIssuer}/`)) &&
          `FEDERATION_REDIRECT_URIS contains "${uri}"; allowed: redirect URIs of apps such as https://app.example.com/callback`,
      ),
    ];
  },
});

/** Parses OIDC_PROVIDERS. Errors never repeat a value, because some are secret. */
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
  const [entry, ...members] = path;
  const place = typeof entry === 'number' ? `in entry ${entry + 1}, ${members.join('.')}` : 'it';
  throw new Error(`is not valid: ${place.trimEnd()} ${message}`);
}

function providersOf(values: Values<typeof settings>): ProviderSettings[] {
  const builtIn = (kind: (typeof BUILT_IN)[number], name: string, issuer: string, emailDomains: string[] = []) => {
    const [clientId, clientSecret] = [values[`${kind}ClientId`], values[`${kind}ClientSecret`]];
    const moreScope = values[`${kind}Scope`] ?? '';
    return clientId ? [{ kind, id: kind, name, issuer, clientId, clientSecret, emailDomains, moreScope }] : [];
  };
  const github = `${values.githubUrl.replace(/\/+$/, '')}/login/oauth`;
  const isPublicGithub = URL.parse(github)?.origin === 'https://github.com';
  return [
    ...builtIn('google', 'Google', 'https://accounts.google.com'),
    ...builtIn('github', 'GitHub', github, isPublicGithub ? [ALL_DOMAINS] : []),
    ...builtIn('linkedin', 'LinkedIn', 'https://www.linkedin.com/oauth'),
    ...values.oidcProviders.map(({ client_id, client_secret, email_domains, scope, ...rest }) => ({
      kind: 'oidc' as const,
      ...rest,
      clientId: client_id,
      clientSecret: client_secret,
      emailDomains: email_domains,
      moreScope: scope,
    })),
  ].map((provider) => ({ ...provider, storesTokens: values.storeTokens.includes(provider.id) }));
}

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

const normalize = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');
