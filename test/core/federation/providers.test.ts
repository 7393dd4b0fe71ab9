// The differences between providers, without network.
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/base/config.js';
import { createProviders } from '../../../src/core/federation/providers.js';

const SECRETS = {
  GITHUB_CLIENT_ID: 'a',
  GITHUB_CLIENT_SECRET: 'b',
  GOOGLE_CLIENT_ID: 'c',
  GOOGLE_CLIENT_SECRET: 'd',
  LINKEDIN_CLIENT_ID: 'e',
  LINKEDIN_CLIENT_SECRET: 'f',
};
const providersOf = (more: Record<string, string> = {}) =>
  createProviders(readConfig({ ...SECRETS, ...more }).providers);

/** Returns the URLs at GitHub that a sign-in requests. */
async function gitHubUrls(url?: string): Promise<string[]> {
  const github = providersOf(url ? { GITHUB_URL: url } : {}).find(({ id }) => id === 'github')!;
  const urls: string[] = [github.oauthEndpoints!.authorization, github.oauthEndpoints!.token];
  await github.readProfile({
    claims: {},
    userInfo: async () => ({}),
    async callApi(address) {
      urls.push(address);
      return address.endsWith('/user') ? { id: 1, login: 'mara' } : undefined;
    },
  });
  return urls;
}

describe('the list of providers', () => {
  it('is empty without settings', () => {
    expect(createProviders(readConfig({}).providers)).toEqual([]);
  });

  it('contains the configured providers with their issuers', () => {
    expect(providersOf().map(({ id, issuer }) => [id, issuer])).toEqual([
      ['google', 'https://accounts.google.com'],
      ['github', 'https://github.com/login/oauth'],
      ['linkedin', 'https://www.linkedin.com/oauth'],
    ]);
  });

  it.each([
    [undefined, 'https://github.com', 'https://api.github.com'],
    ['https://github.example.com/', 'https://github.example.com', 'https://github.example.com/api/v3'],
    ['https://acme.ghe.com', 'https://acme.ghe.com', 'https://api.acme.ghe.com'],
  ])('uses the API of GitHub at %s', async (url, home, api) => {
    expect(await gitHubUrls(url)).toEqual([
      `${home}/login/oauth/authorize`,
      `${home}/login/oauth/access_token`,
      `${api}/user`,
      `${api}/user/emails`,
    ]);
  });
});

describe('the requested scope', () => {
  const STORING = { FEDERATION_STORE_TOKENS: 'google, github, linkedin, acme' };
  const acme = (scope?: string) => ({
    OIDC_PROVIDERS: JSON.stringify([
      { id: 'acme', name: 'Acme', issuer: 'https://id.acme.example', client_id: 'x', ...(scope && { scope }) },
    ]),
  });
  const requestedScopes = (more: Record<string, string>) =>
    Object.fromEntries(
      providersOf(more).map(({ id, scope, refreshTokenParameters, refreshTokenNeedsConsent = false, storesTokens }) => [
        id,
        { scope, refreshTokenParameters, refreshTokenNeedsConsent, storesTokens },
      ]),
    );

  it('contains the scopes for a sign-in', () => {
    const all = requestedScopes(acme());
    expect(all.github).toMatchObject({ scope: 'read:user user:email', storesTokens: false });
    for (const id of ['google', 'linkedin', 'acme']) {
      expect(all[id]).toMatchObject({ scope: 'openid profile email', storesTokens: false });
    }
  });

  it('contains further scopes from the settings, each once', () => {
    const all = requestedScopes({
      ...STORING,
      ...acme('email offline_access calendar'),
      GITHUB_SCOPE: 'repo user:email',
      GOOGLE_SCOPE: 'https://www.googleapis.com/auth/calendar.readonly',
      LINKEDIN_SCOPE: 'w_member_social',
    });
    expect(all).toEqual({
      github: {
        scope: 'read:user user:email repo',
        refreshTokenParameters: undefined,
        refreshTokenNeedsConsent: false,
        storesTokens: true,
      },
      google: {
        scope: 'openid profile email https://www.googleapis.com/auth/calendar.readonly',
        refreshTokenParameters: { access_type: 'offline' },
        refreshTokenNeedsConsent: true,
        storesTokens: true,
      },
      linkedin: {
        scope: 'openid profile email w_member_social',
        refreshTokenParameters: undefined,
        refreshTokenNeedsConsent: false,
        storesTokens: true,
      },
      acme: {
        scope: 'openid profile email offline_access calendar',
        refreshTokenParameters: { prompt: 'consent' },
        refreshTokenNeedsConsent: false,
        storesTokens: true,
      },
    });
    expect(requestedScopes({ ...STORING, ...acme('calendar') }).acme!.refreshTokenParameters).toBeUndefined();
  });
});

describe('the profile of a provider', () => {
  const google = () => providersOf().find(({ id }) => id === 'google')!;
  const profileOf = (claims: object, userInfo: object = {}) =>
    google().readProfile({
      claims: { sub: '1', ...claims },
      userInfo: async () => ({ ...userInfo }),
      callApi: async () => undefined,
    });

  it.each<[string, object, object, boolean]>([
    ['yes if both members are in the userinfo response', {}, { email: 'a@gmail.com', email_verified: true }, true],
    ['yes if both members are in the ID token', { email: 'a@gmail.com', email_verified: true }, {}, true],
    ['no if only email_verified is in the ID token', { email_verified: true }, { email: 'a@gmail.com' }, false],
    [
      'no if the two sources contradict each other',
      { email_verified: true },
      { email: 'a@gmail.com', email_verified: false },
      false,
    ],
    ['no if only the address is in the ID token', { email: 'a@gmail.com' }, { email_verified: true }, false],
    [
      'no if only the hosted domain is in the ID token',
      { hd: 'x.example' },
      { email: 'a@x.example', email_verified: true },
      false,
    ],
  ])('reports whether the address is proven: %s', async (_case, claims, userInfo, emailAuthoritative) => {
    expect(await profileOf(claims, userInfo)).toMatchObject({ email: expect.any(String), emailAuthoritative });
  });

  it.each(['mar\u212a@gmail.com', 'mara@\u212aiosk.example', '\u00a0mara@gmail.com', 'j\u00f6\u212a@gmail.com'])(
    'lacks the address %j, which would normalize to another one',
    async (email) => {
      expect(await profileOf({ email, email_verified: true })).toMatchObject({
        email: undefined,
        emailAuthoritative: false,
      });
    },
  );

  it('has addresses with letters of other scripts in lowercase', async () => {
    expect(await profileOf({ email: 'J\u00d6rg@gmail.com' })).toMatchObject({ email: 'j\u00f6rg@gmail.com' });
  });

  it.each([
    [undefined, true],
    ['https://github.com/', true],
    ['https://github.example.com', false],
    ['https://acme.ghe.com', false],
    ['https://github.com.example', false],
  ])('has a proven primary address from GitHub at %s: %s', async (url, emailAuthoritative) => {
    const github = providersOf(url ? { GITHUB_URL: url } : {}).find(({ id }) => id === 'github')!;
    const emails = [{ email: 'victim@example.com', primary: true, verified: true }];
    const callApi = async (address: string) => (address.endsWith('/user') ? { id: 1, login: 'mara' } : emails);
    const profile = await github.readProfile({ claims: {}, userInfo: async () => ({}), callApi });
    expect(profile).toMatchObject({ email: 'victim@example.com', emailAuthoritative });
  });
});

describe('the configuration of providers', () => {
  const ACME = {
    id: 'acme',
    name: 'Acme',
    issuer: 'https://id.acme.example',
    client_id: 'x',
    client_secret: 'hunter22',
  };
  const errorsOf = (environment: Record<string, string>) => {
    try {
      readConfig(environment);
    } catch (error) {
      return (error as { errors: string[] }).errors;
    }
    return [];
  };

  it('accepts several OpenID providers', () => {
    const text = JSON.stringify([
      ACME,
      { ...ACME, id: 'other', issuer: 'https://other.example/', email_domains: ['a.example'] },
    ]);
    expect(readConfig({ OIDC_PROVIDERS: text }).providers).toMatchObject([
      { kind: 'oidc', id: 'acme', clientSecret: 'hunter22', emailDomains: [] },
      { kind: 'oidc', id: 'other', issuer: 'https://other.example/', emailDomains: ['a.example'] },
    ]);
  });

  it.each<[string, unknown]>([
    ['text that is not JSON', '[{"client_secret":"hunter22"'],
    ['an object', ACME],
    ['an invalid id', [{ ...ACME, id: 'Acme/..' }]],
    ['a reserved id', [{ ...ACME, id: 'google' }]],
    ['an id twice', [ACME, { ...ACME, issuer: 'https://b.example' }]],
    ['an issuer twice', [ACME, { ...ACME, id: 'b', issuer: 'https://id.acme.example/' }]],
    ['no name', [{ ...ACME, name: ' ' }]],
    ['no client', [{ ...ACME, client_id: undefined }]],
    ['an issuer over http', [{ ...ACME, issuer: 'http://id.acme.example' }]],
    ['an issuer with a query', [{ ...ACME, issuer: 'https://id.acme.example/?x' }]],
    ['our own issuer', [{ ...ACME, issuer: 'http://localhost:3000' }]],
    ['an unknown key', [{ ...ACME, trust: true }]],
    ['invalid domains', [{ ...ACME, email_domains: ['*'] }]],
    ['invalid scopes', [{ ...ACME, scope: 'calendar, "drive"' }]],
  ])('rejects %s without repeating a secret', (_what, value) => {
    const OIDC_PROVIDERS = typeof value === 'string' ? value : JSON.stringify(value);
    const errors = errorsOf({ OIDC_PROVIDERS });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/^OIDC_PROVIDERS (?!.*hunter22)/);
  });

  it.each<[string, Record<string, string>]>([
    ['GITHUB_CLIENT_ID', { GITHUB_CLIENT_ID: 'x' }],
    ['GOOGLE_CLIENT_ID', { GOOGLE_CLIENT_SECRET: 'x' }],
    ['LINKEDIN_CLIENT_ID', { LINKEDIN_CLIENT_ID: 'x' }],
    ['GITHUB_URL', { GITHUB_URL: 'http://github.example.com' }],
    ['FEDERATION_REDIRECT_URIS', { FEDERATION_REDIRECT_URIS: 'http://app.example/callback' }],
    ['FEDERATION_REDIRECT_URIS', { FEDERATION_REDIRECT_URIS: 'https://*.example/callback' }],
    ['FEDERATION_REDIRECT_URIS', { FEDERATION_REDIRECT_URIS: 'javascript:alert(1)' }],
    ['FEDERATION_REDIRECT_URIS', { FEDERATION_REDIRECT_URIS: 'http://localhost:3000/login/with/github/callback' }],
    ['FEDERATION_STORE_TOKENS', { FEDERATION_STORE_TOKENS: 'github' }],
    ['FEDERATION_STORE_TOKENS', { ...SECRETS, FEDERATION_STORE_TOKENS: 'github, acme' }],
    ['FEDERATION_STORE_TOKENS', { ...SECRETS, FEDERATION_STORE_TOKENS: 'GitHub' }],
    ['FEDERATION_STORE_TOKENS', { ...SECRETS, FEDERATION_STORE_TOKENS: '*' }],
    ['GITHUB_SCOPE', { ...SECRETS, GITHUB_SCOPE: 'repo' }],
    ['GOOGLE_SCOPE', { ...SECRETS, FEDERATION_STORE_TOKENS: 'github', GOOGLE_SCOPE: 'calendar' }],
    ['LINKEDIN_SCOPE', { ...SECRETS, FEDERATION_STORE_TOKENS: 'linkedin', LINKEDIN_SCOPE: 'a "b"' }],
  ])('rejects %s in %j', (name, environment) => {
    const errors = errorsOf(environment);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(name);
  });
});
