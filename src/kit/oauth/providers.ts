/** The providers that users can sign in at. Another provider is an object of the same form. */

export interface OAuthProfile {
  /** The provider's id of the user, which never changes. */
  id: string;
  email?: string;
  /** Whether the provider verified the e-mail address. */
  emailVerified: boolean;
  name?: string;
  picture?: string;
}

export interface OAuthProvider {
  /** Part of paths and of the state: letters, digits, `_` and `-`. */
  name: string;
  clientId: string;
  clientSecret: string;
  authorizationUrl: string;
  tokenUrl: string;
  scope: string;
  /** For OpenID Connect providers: the profile is read from the verified ID token. */
  openId?: { issuers: string[]; jwksUri: string };
  /** For other providers: reads the profile with the access token. */
  readProfile?(get: (url: string) => Promise<unknown>): Promise<OAuthProfile>;
}

interface ProviderOptions {
  clientId: string;
  clientSecret: string;
  scope?: string;
}

/** Google, by OpenID Connect. */
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

/** GitHub, by OAuth and its REST API. The address is the verified primary one. */
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
    // Not the address in the public profile, which is not verified.
    const email = emails.find(({ primary, verified }) => primary && verified)?.email;
    return {
      id: String(user.id),
      email,
      emailVerified: email !== undefined,
      name: String(user.name ?? user.login),
      picture: typeof user.avatar_url === 'string' ? user.avatar_url : undefined,
    };
  },
});
