/** The providers elsewhere by whom people may sign in, as the settings name them. */
import { z } from 'zod';
import { isUnheard } from '../loopback.js';
import { brokenOf, type Rule } from './rules.js';

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
  /** Domains whose e-mail addresses it is the one to vouch for; `ALL_DOMAINS` for github.com alone. */
  vouchesFor: string[];
}

/** No domain is called so. */
export const ALL_DOMAINS = '*';

export interface FederationSettings {
  GITHUB_CLIENT_ID: string;
  GITHUB_CLIENT_SECRET: string;
  GITHUB_URL: string;
  GOOGLE_CLIENT_ID: string;
  GOOGLE_CLIENT_SECRET: string;
  LINKEDIN_CLIENT_ID: string;
  LINKEDIN_CLIENT_SECRET: string;
  OIDC_PROVIDERS: OidcProvider[];
  FEDERATION_REDIRECT_URIS: string[];
}

export type OidcProvider = z.output<typeof OidcProvider>;

const TAKEN = ['github', 'google', 'linkedin'];
const OidcProvider = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/, 'is a word of small letters, digits and -'),
  name: z.string().trim().min(1).max(40),
  issuer: z.string().refine(isIssuer, 'is https://… as its discovery document has it, or http:// on this machine'),
  client_id: z.string().min(1),
  client_secret: z.string().min(1).optional(),
  vouches_for: z.array(z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'is a domain in small letters')).default([]),
});

/** Reads OIDC_PROVIDERS. Throws what is wrong with it, and never repeats a value: there are secrets among them. */
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
  throw new Error(`is not usable: ${path.join('.') || 'it'} ${message}`);
}

/** Never throws: what cannot be used is told by `federationFaults`. */
export function providersOf(settings: FederationSettings): ProviderSettings[] {
  const known = (kind: 'github' | 'google' | 'linkedin', name: string, issuer: string, id: string, secret: string) =>
    id ? [{ kind, id: kind, name, issuer, clientId: id, clientSecret: secret, vouchesFor: [] as string[] }] : [];
  const github = `${settings.GITHUB_URL.replace(/\/+$/, '')}/login/oauth`;
  return [
    ...known(
      'google',
      'Google',
      'https://accounts.google.com',
      settings.GOOGLE_CLIENT_ID,
      settings.GOOGLE_CLIENT_SECRET,
    ),
    ...known('github', 'GitHub', github, settings.GITHUB_CLIENT_ID, settings.GITHUB_CLIENT_SECRET).map((one) => ({
      ...one,
      vouchesFor: URL.parse(github)?.origin === 'https://github.com' ? [ALL_DOMAINS] : [],
    })),
    ...known(
      'linkedin',
      'LinkedIn',
      'https://www.linkedin.com/oauth',
      settings.LINKEDIN_CLIENT_ID,
      settings.LINKEDIN_CLIENT_SECRET,
    ),
    ...settings.OIDC_PROVIDERS.map(({ client_id, client_secret, vouches_for, ...rest }) => ({
      kind: 'oidc' as const,
      ...rest,
      clientId: client_id,
      clientSecret: client_secret,
      vouchesFor: vouches_for,
    })),
  ];
}

/** What is wrong with these settings, a sentence each. */
export function federationFaults(settings: FederationSettings, ownIssuer: string): string[] {
  const providers = providersOf(settings);
  const pairs = (['GITHUB', 'GOOGLE', 'LINKEDIN'] as const).map(
    (name): Rule => [
      Boolean(settings[`${name}_CLIENT_ID`]) !== Boolean(settings[`${name}_CLIENT_SECRET`]),
      `${name}_CLIENT_ID and ${name}_CLIENT_SECRET must be set together, or neither`,
    ],
  );
  const ids = settings.OIDC_PROVIDERS.map(({ id }) => id);
  const issuers = providers.map(({ issuer }) => plain(issuer));
  const rules: Rule[] = [
    ...pairs,
    [!isIssuer(settings.GITHUB_URL), 'GITHUB_URL is not usable; allowed: https://github.example.com'],
    [ids.some((id) => TAKEN.includes(id)), `OIDC_PROVIDERS has an id that is taken: ${TAKEN.join(', ')}`],
    [new Set(ids).size < ids.length, 'OIDC_PROVIDERS has an id twice'],
    [new Set(issuers).size < issuers.length, 'OIDC_PROVIDERS has an issuer twice'],
    [issuers.includes(plain(ownIssuer)), 'OIDC_PROVIDERS has our own ISSUER; allowed: the issuers of others'],
    ...settings.FEDERATION_REDIRECT_URIS.map(
      (uri): Rule => [
        !isRedirectUri(uri) || uri.startsWith(`${ownIssuer}/`),
        `FEDERATION_REDIRECT_URIS holds "${uri}"; allowed: addresses of apps such as https://app.example.com/callback`,
      ],
    ),
  ];
  return brokenOf(rules);
}

function isIssuer(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isUnheard(url) && !/[?#@\s]/.test(text);
}

/** A page that nobody listens in on, or an app that has a scheme of its own. */
function isRedirectUri(text: string): boolean {
  const url = URL.parse(text);
  if (!url || /[#*\s]/.test(text)) return false;
  return /^https?:$/.test(url.protocol)
    ? isUnheard(url) && !url.username
    : /^[a-z][a-z0-9+-]*\.[a-z0-9.+-]+:$/.test(url.protocol);
}

const plain = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');
