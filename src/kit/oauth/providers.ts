/**
 * Google and GitHub, for services whose users sign in without Signet. The server has providers of
 * its own in core/federation: the kit is published as a separate package and cannot depend on them.
 */

export interface OAuthProfile {
  /** The provider's id of the user, which never changes. */
  id: string;
  email?: string;
  /** Whether the provider verified the e-mail address. */
  emailVerified: boolean;
  name?: string;
  picture?: string;
}

/** A provider with which users can sign in. */
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

/** Returns Google as a provider with OpenID Connect. */
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

/** Returns GitHub as a provider. The e-mail address is the primary one, only if it is verified. */
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
    // The address in the public profile is not verified, so it is not used.
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
