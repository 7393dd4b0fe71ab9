/** The external providers that need only a client ID and a client secret. */

/**
 * The built-in providers, in the order of their settings and buttons. Each one has the settings
 * `<ID>_CLIENT_ID`, `<ID>_CLIENT_SECRET` and `<ID>_SCOPE`.
 */
export const BUILT_IN_PROVIDERS = [
  {
    id: 'google',
    name: 'Google',
    issuer: 'https://accounts.google.com',
    exampleScope: 'https://www.googleapis.com/auth/calendar.readonly',
  },
  // The setting GITHUB_URL determines its issuer.
  { id: 'github', name: 'GitHub', exampleScope: 'public_repo gist' },
  { id: 'linkedin', name: 'LinkedIn', issuer: 'https://www.linkedin.com/oauth', exampleScope: 'w_member_social' },
] as const;

export type BuiltInProvider = (typeof BUILT_IN_PROVIDERS)[number];

/** Part of our URLs and of the names of settings. */
export type BuiltInProviderId = BuiltInProvider['id'];

export const BUILT_IN_PROVIDER_IDS: readonly BuiltInProviderId[] = BUILT_IN_PROVIDERS.map(({ id }) => id);
