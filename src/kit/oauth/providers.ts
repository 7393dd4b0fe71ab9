/**
 * Who a service can send its people to. A provider is a value; another one is an object of the same
 * form.
 */

export interface OAuthProfile {
  /** The provider's id of the person, which never changes. */
  id: string;
  email?: string;
  /** Whether the provider says that the address is theirs. */
  emailVerified: boolean;
  name?: string;
  picture?: string;
}

export interface OAuthProvider {
  /** Stands in paths and in the state: letters, digits, `_` and `-`. */
  name: string;
  clientId: string;
  clientSecret: string;
  authorizationUrl: string;
  tokenUrl: string;
  scope: string;
  /** Of a provider that speaks OpenID Connect: the ID token is checked, and is the profile. */
  openId?: { issuers: string[]; jwksUri: string };
  /** Of any other: reads the profile with the access token. */
  readProfile?(get: (url: string) => Promise<unknown>): Promise<OAuthProfile>;
}

interface ProviderOptions {
  clientId: string;
  clientSecret: string;
  scope?: string;
}

export const googleProvider = ({ scope = 'openid email profile', ...client }: ProviderOptions): OAuthProvider => ({
  name: 'google',
  ...client,
  scope,
  authorizationUrl: 'https://accounts.google.com/o/oauth2/v2/auth',
  tokenUrl: 'https://oauth2.googleapis.com/token',
  openId: {
    issuers: ['https://accounts.google.com', 'accounts.google.com'],
    jwksUri: 'https://www.googleapis.com/oauth2/v3/certs',
  },
});

export const githubProvider = ({ scope = 'read:user user:email', ...client }: ProviderOptions): OAuthProvider => ({
  name: 'github',
  ...client,
  scope,
  authorizationUrl: 'https://github.com/login/oauth/authorize',
  tokenUrl: 'https://github.com/login/oauth/access_token',
  async readProfile(get) {
    const user = (await get('https://api.github.com/user')) as Record<string, unknown>;
    const emails = (await get('https://api.github.com/user/emails')) as {
      email: string;
      primary: boolean;
      verified: boolean;
    }[];
    const email = emails.find(({ primary, verified }) => primary && verified)?.email; // what a profile shows publicly proves nothing
    return {
      id: String(user.id),
      email,
      emailVerified: email !== undefined,
      name: String(user.name ?? user.login),
      picture: typeof user.avatar_url === 'string' ? user.avatar_url : undefined,
    };
  },
});
