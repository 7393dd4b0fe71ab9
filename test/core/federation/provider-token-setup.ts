// Servers that store the tokens of fake providers, for tests of these tokens.
import { afterAll, afterEach, beforeAll } from 'vitest';
import { systemMeta } from '../../../src/base/request-meta.js';
import type { ApiSession } from '../../support/api.js';
import {
  type ExternalUser,
  type FakeProvider,
  newExternalUser,
  obtainProviderCode,
  openFakeProvider,
  SETTINGS,
  useFakeProvider,
} from '../../support/fake-providers.js';
import { movableClock } from '../../support/movable-clock.js';
import { callApi } from '../../support/request.js';
import { startServer, type TestServer } from '../../support/server.js';
import type { Store } from '../../support/stores.js';

export type Kind = FakeProvider['kind'];
export const APP = 'https://app.example/callback';
/** Parameters of an authorization request for a refresh token. */
export const OFFLINE = { access_type: 'offline', prompt: 'consent', scope: 'openid profile email calendar' };
export const HOUR_MS = 3_600_000;

export const last = (list: string[]) => list.at(-1)!;

/** Starts providers and servers before the tests of a suite. `servers` is set when they run. */
export function useProviderTokens(store: Store) {
  const external = {} as Record<Kind, FakeProvider>;
  const servers = {} as {
    /** Stores the tokens of GitHub and Google. */
    server: TestServer;
    /** A second process with the same configuration, on the same store. */
    secondServer: TestServer;
    /** A process on the same store whose settings name no provider. */
    withoutStorage: TestServer;
  };
  const { clock, later } = movableClock();

  beforeAll(async () => {
    for (const kind of ['github', 'google', 'linkedin'] as const) external[kind] = await openFakeProvider(kind);
    const settings = { ...SETTINGS, FEDERATION_REDIRECT_URIS: APP };
    const storing = { ...settings, FEDERATION_STORE_TOKENS: 'github, google' };
    const wrapBase = useFakeProvider(...Object.values(external));
    const server = await startServer({ store, settings: storing, wrapBase, clock });
    servers.server = server;
    servers.secondServer = await startServer({ sharedWith: server, settings: storing, wrapBase, clock });
    servers.withoutStorage = await startServer({ sharedWith: server, settings, wrapBase, clock });
  });
  afterEach(() => {
    for (const provider of Object.values(external)) provider.reset();
  });
  afterAll(async () => {
    const { server, secondServer, withoutStorage } = servers;
    for (const one of [withoutStorage, secondServer, server]) await one.close();
    for (const provider of Object.values(external)) await provider.close();
  });

  return { external, servers, later, signIn, signInNewUser, signInForRefresh, read, rowOf, linksOf, issueToken };

  /** Signs a user in with a provider. */
  async function signIn(
    kind: Kind,
    externalUser: ExternalUser,
    { otp, ...params }: Record<string, string> = {},
    at: TestServer = servers.server,
  ) {
    const code = await obtainProviderCode(external[kind], externalUser, APP, params);
    const body = { code, redirect_uri: APP, ...(otp && { otp }) };
    const { status, json } = await callApi(at, 'POST', `/auth/${kind}/callback`, { body });
    return { status, error: json.error, ...(json as unknown as ApiSession & { id: string }) };
  }

  /** Signs a new user in. Returns the user, the account, its access token and the link. */
  async function signInNewUser(kind: Kind, params: Record<string, string> = {}, at: TestServer = servers.server) {
    const externalUser = newExternalUser();
    const { access_token: token, id: accountId } = await signIn(kind, externalUser, params, at);
    const [link] = await servers.server.core.links.list(accountId);
    return { externalUser, token, accountId, linkId: link!.id };
  }

  /**
   * Signs a new user in with GitHub, whose tokens expire and whose refresh tokens are single-use.
   */
  async function signInForRefresh() {
    external.github.issuesExpiringTokens = true;
    const user = await signInNewUser('github');
    return { ...user, access: last(external.github.issued.access), refresh: last(external.github.issued.refresh) };
  }

  /** Reads the provider token of a link. */
  function read(linkId: string, token: string, at: TestServer = servers.server) {
    return callApi(at, 'GET', `/auth/links/${linkId}/token`, { token });
  }

  function rowOf(identityId: string) {
    return servers.server.base.db.storedTokens.findUnique({ where: { identityId } });
  }

  async function linksOf(token: string, at: TestServer = servers.server) {
    return (await callApi(at, 'GET', '/auth/links', { token })).json as unknown as { keeps_token: boolean }[];
  }

  /** Issues an access token for the account, at the time of the clock. */
  async function issueToken(accountId: string): Promise<string> {
    const { base, core } = servers.server;
    const account = await base.db.account.findUniqueOrThrow({ where: { id: accountId } });
    return (await core.sessionIssuer.issueTokens({ account, amr: ['pwd'] }, systemMeta)).tokens.accessToken;
  }
}
