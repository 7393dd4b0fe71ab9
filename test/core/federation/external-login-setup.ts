// Servers with fake providers, for tests of sign-in with codes that apps obtained from a provider.
import { afterAll, beforeAll } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { ExternalLogin } from '../../../src/core/federation/provider.js';
import { createAccount } from '../../support/accounts.js';
import type { ApiSession } from '../../support/api.js';
import {
  CLIENT_ID,
  CLIENT_SECRET,
  type ExternalUser,
  type FakeProvider,
  obtainProviderCode,
  openFakeProvider,
  SETTINGS,
  useFakeProvider,
} from '../../support/fake-providers.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import type { Store } from '../../support/stores.js';

/** The redirect URI of the app. */
export const APP = 'https://app.example/callback?from=signet';
/** Another redirect URI of the app, with a private-use scheme. */
export const NATIVE_APP = 'com.example.app:/callback';
const ACME = {
  id: 'acme',
  name: 'Acme',
  client_id: CLIENT_ID,
  client_secret: CLIENT_SECRET,
  email_domains: ['acme.example'],
};
export type ProviderId = 'github' | 'google' | 'linkedin' | 'acme';

/** Starts providers and servers before the tests of a suite. `server` is set when they run. */
export function useExternalLogin(store: Store) {
  const { clock, later } = movableClock();
  const external = {} as Record<ProviderId, FakeProvider>;
  const servers = {} as {
    server: TestServer;
    /** A second server on the same store, which creates no accounts. */
    signupClosed: TestServer;
  };

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) external[kind] = await openFakeProvider(kind);
    external.acme = await openFakeProvider('google');
    const { acme, ...known } = external;
    const settings = {
      ...SETTINGS,
      OIDC_PROVIDERS: JSON.stringify([{ ...ACME, issuer: acme.issuer }]),
      FEDERATION_REDIRECT_URIS: `${APP}, ${NATIVE_APP}`,
    };
    const wrapBase = useFakeProvider(...Object.values(known));
    servers.server = await startServer({ store, settings, wrapBase, clock });
    const closed = { ...settings, SIGNUP: 'closed' };
    servers.signupClosed = await startServer({ sharedWith: servers.server, settings: closed, wrapBase, clock });
  });
  afterAll(async () => {
    await servers.signupClosed.close();
    await servers.server.close();
    for (const provider of Object.values(external)) await provider.close();
  });

  return { external, servers, later, signIn, link, createVerified, findAccount, signInWithPassword, loginOf };

  /** Signs a user in with a code, as an app does. */
  async function signIn(
    id: ProviderId,
    user: ExternalUser,
    more: Record<string, unknown> = {},
    at: TestServer = servers.server,
  ) {
    const code = await obtainProviderCode(external[id], user, String(more.redirect_uri ?? APP));
    const response = await callApi(at, 'POST', `/auth/${id}/callback`, { body: { code, redirect_uri: APP, ...more } });
    return {
      ...response,
      error: response.json.error,
      body: response.json as unknown as ApiSession & { id: string; email: string },
    };
  }

  /** Links an external user to the account of an access token. */
  async function link(id: ProviderId, user: ExternalUser, token: string) {
    const code = await obtainProviderCode(external[id], user, APP);
    return callApi(servers.server, 'POST', `/auth/${id}/link`, { token, body: { code, redirect_uri: APP } });
  }

  /** Creates an account whose e-mail address is verified. */
  function createVerified(email: string, options: Parameters<typeof createAccount>[1] = {}) {
    return createAccount(servers.server, { email, verified: true, ...options });
  }

  async function findAccount(id: string) {
    return servers.server.base.db.account.findUniqueOrThrow({ where: { id } });
  }

  /** Opens a session of the account. */
  async function signInWithPassword(accountId: string) {
    const account = await findAccount(accountId);
    const { session } = await servers.server.core.sessions.open(account, ['pwd'], systemMeta);
    return { account, session, amr: ['pwd'] };
  }

  /** Returns the login that a provider would report for the user. */
  function loginOf(id: ProviderId, { id: subject, email }: ExternalUser, emailAuthoritative = true): ExternalLogin {
    return {
      issuer: external[id].issuer,
      subject,
      email,
      emailAuthoritative,
      name: 'Mara',
      picture: undefined,
      provider: { id, name: id },
    };
  }
}
