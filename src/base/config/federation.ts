/** The providers elsewhere by whom people may sign in, as the settings name them. */
import { z } from 'zod';
import { isSecureUrl } from '../loopback.js';
import { failedRules, type Rule } from './rules.js';

export interface ProviderSettings {
  kind: 'github' | 'google' | 'linkedin' | 'oidc';
  /** In our addresses: `github`. */
  id: string;
  /** On the button. */
  name: string;
  /** As it names itself; its people are known by this and their subject there. */
  issuer: string;
  clientId: string;
  /** Left out by a public client. */
  clientSecret?: string | undefined;
  /**
   * Domains whose e-mail addresses it is the one to vouch for; `ALL_DOMAINS` for github.com alone.
   */
  vouchesFor: string[];
  /** What is asked for beyond what a sign-in needs, separated by spaces. */
  moreScope: string;
  /** Whether what it hands out is kept. */
  keepsTokens: boolean;
}

/** No domain is called so. */
export const ALL_DOMAINS = '*';

export interface FederationSettings {
  GITHUB_CLIENT_ID: string;
  GITHUB_CLIENT_SECRET: string;
  GITHUB_URL: string;
  GITHUB_SCOPE: string;
  GOOGLE_CLIENT_ID: string;
  GOOGLE_CLIENT_SECRET: string;
  GOOGLE_SCOPE: string;
  LINKEDIN_CLIENT_ID: string;
  LINKEDIN_CLIENT_SECRET: string;
  LINKEDIN_SCOPE: string;
  OIDC_PROVIDERS: OidcProvider[];
  FEDERATION_REDIRECT_URIS: string[];
  FEDERATION_KEEP_TOKENS: string[];
}

export type OidcProvider = z.output<typeof OidcProvider>;

const TAKEN = ['github', 'google', 'linkedin'];
/** RFC 6749, 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;
const OidcProvider = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'is a word of small letters, digits and -'),
  name: z.string().trim().min(1).max(40),
  issuer: z.string().refine(isIssuer, 'is https://… as its discovery document has it, or http:// on this machine'),
  client_id: z.string().min(1),
  client_secret: z.string().min(1).optional(),
  vouches_for: z.array(z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'is a domain in small letters')).default([]),
  scope: z.string().regex(SCOPE, 'is scopes, separated by single spaces').default(''),
});

/**
 * Reads OIDC_PROVIDERS. Throws what is wrong with it, and never repeats a value: there are secrets
 * among them.
 */
export function parseOidcProviders(text: string): OidcProvider[] {
  let value: unknown;
  try {
    value = JSON.parse(text || '[]');
  } catch {
    throw new Error('is not JSON');
  }
  const parsed = z.array(OidcProvider).safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const [entry, ...members] = path;
  const where = typeof entry === 'number' ? `in entry ${entry + 1}, ${members.join('.')}` : 'it';
  throw new Error(`is not usable: ${where.trimEnd()} ${message}`);
}

/** Never throws: what cannot be used is told by `federationErrors`. */
export function providersOf(settings: FederationSettings): ProviderSettings[] {
  return providersSetUp(settings).map((one) => ({
    ...one,
    keepsTokens: settings.FEDERATION_KEEP_TOKENS.includes(one.id),
  }));
}

function providersSetUp(settings: FederationSettings): Omit<ProviderSettings, 'keepsTokens'>[] {
  const known = (kind: 'github' | 'google' | 'linkedin', name: string, issuer: string) => {
    const prefix = kind.toUpperCase() as 'GITHUB' | 'GOOGLE' | 'LINKEDIN';
    const clientId = settings[`${prefix}_CLIENT_ID`];
    const clientSecret = settings[`${prefix}_CLIENT_SECRET`];
    const more = { vouchesFor: [] as string[], moreScope: settings[`${prefix}_SCOPE`] };
    return clientId ? [{ kind, id: kind, name, issuer, clientId, clientSecret, ...more }] : [];
  };
  const github = `${settings.GITHUB_URL.replace(/\/+$/, '')}/login/oauth`;
  return [
    ...known('google', 'Google', 'https://accounts.google.com'),
    ...known('github', 'GitHub', github).map((one) => ({
      ...one,
      vouchesFor: URL.parse(github)?.origin === 'https://github.com' ? [ALL_DOMAINS] : [],
    })),
    ...known('linkedin', 'LinkedIn', 'https://www.linkedin.com/oauth'),
    ...settings.OIDC_PROVIDERS.map(({ client_id, client_secret, vouches_for, scope, ...rest }) => ({
      kind: 'oidc' as const,
      ...rest,
      clientId: client_id,
      clientSecret: client_secret,
      vouchesFor: vouches_for,
      moreScope: scope,
    })),
  ];
}

/** What is wrong with these settings, a sentence each. */
export function federationErrors(settings: FederationSettings, ownIssuer: string): string[] {
  const providers = providersOf(settings);
  const perKnown = (['GITHUB', 'GOOGLE', 'LINKEDIN'] as const).flatMap((name): Rule[] => {
    const [id, scope] = [name.toLowerCase(), settings[`${name}_SCOPE`]];
    return [
      [
        Boolean(settings[`${name}_CLIENT_ID`]) !== Boolean(settings[`${name}_CLIENT_SECRET`]),
        `${name}_CLIENT_ID and ${name}_CLIENT_SECRET must be set together, or neither`,
      ],
      [scope !== '' && !SCOPE.test(scope), `${name}_SCOPE is not usable; allowed: scopes, separated by single spaces`],
      // A sign-in needs no more than it asks for: people would be asked for what nobody can use.
      [
        scope !== '' && !settings.FEDERATION_KEEP_TOKENS.includes(id),
        `${name}_SCOPE asks for what is then thrown away: name ${id} in FEDERATION_KEEP_TOKENS, or leave it empty`,
      ],
    ];
  });
  const ids = settings.OIDC_PROVIDERS.map(({ id }) => id);
  const issuers = providers.map(({ issuer }) => plain(issuer));
  const rules: Rule[] = [
    ...perKnown,
    [!isIssuer(settings.GITHUB_URL), 'GITHUB_URL is not usable; allowed: https://github.example.com'],
    [ids.some((id) => TAKEN.includes(id)), `OIDC_PROVIDERS has an id that is taken: ${TAKEN.join(', ')}`],
    [new Set(ids).size < ids.length, 'OIDC_PROVIDERS has an id twice'],
    [new Set(issuers).size < issuers.length, 'OIDC_PROVIDERS has an issuer twice'],
    ...settings.FEDERATION_KEEP_TOKENS.map(
      (id): Rule => [
        !providers.some((provider) => provider.id === id),
        `FEDERATION_KEEP_TOKENS holds "${id}"; allowed: ${providers.map((one) => one.id).join(', ') || 'nothing, as no provider is set up'}`,
      ],
    ),
    [issuers.includes(plain(ownIssuer)), 'OIDC_PROVIDERS has our own ISSUER; allowed: the issuers of others'],
    ...settings.FEDERATION_REDIRECT_URIS.map(
      (uri): Rule => [
        !isRedirectUri(uri) || uri.startsWith(`${ownIssuer}/`),
        `FEDERATION_REDIRECT_URIS holds "${uri}"; allowed: addresses of apps such as https://app.example.com/callback`,
      ],
    ),
  ];
  return failedRules(rules);
}

function isIssuer(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isSecureUrl(url) && !/[?#@\s]/.test(text);
}

/** A page that nobody listens in on, or an app that has a scheme of its own. */
function isRedirectUri(text: string): boolean {
  const url = URL.parse(text);
  if (!url || /[#*\s]/.test(text)) return false;
  return /^https?:$/.test(url.protocol)
    ? isSecureUrl(url) && !url.username
    : /^[a-z][a-z0-9+-]*\.[a-z0-9.+-]+:$/.test(url.protocol);
}

const plain = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');
