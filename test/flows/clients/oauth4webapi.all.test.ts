// An app on oauth4webapi, which validates each response strictly. The library under test is the one
// of test/clients; the types are those of the copy that openid-client depends on.

import type * as OAuth from 'oauth4webapi';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importClient } from '../../support/client-libraries.js';
import { DEVICE_GRANT } from '../../support/device.js';
import { browserFor, completeSignIn } from '../../support/openid-client.js';
import { REDIRECT_URI } from '../../support/relying-party.js';
import { PASSWORD, startServer, type TestServer } from '../../support/server.js';

const oauth = await importClient<typeof OAuth>('oauth4webapi');

const HTTP = { [oauth.allowInsecureRequests]: true };
const MAX_AGE_SECONDS = 300;
describe('an app on oauth4webapi', () => {
  let server: TestServer;
  let as: OAuth.AuthorizationServer;
  beforeAll(async () => {
    server = await startServer();
    as = await discover();
  });
  afterAll(() => server.close());

  async function discover(algorithm: 'oidc' | 'oauth2' = 'oidc') {
    const issuer = new URL(server.issuer);
    return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...HTTP }));
  }

  /** Creates a client with its authentication method. */
  async function createClient(metadata: Record<string, unknown> = {}) {
    const { id, secret } = await server.client(metadata);
    return { client: { client_id: id } as OAuth.Client, auth: secret ? oauth.ClientSecretBasic(secret) : oauth.None() };
  }

  type App = Awaited<ReturnType<typeof createClient>>;

  /** Creates an authorization request. */
  async function beginSignIn({ client }: App, more: Record<string, string> = {}) {
    const verifier = oauth.generateRandomCodeVerifier();
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
    const parameters = new URLSearchParams({
      client_id: client.client_id,
      response_type: 'code',
      redirect_uri: REDIRECT_URI,
      scope: 'openid profile email offline_access',
      prompt: 'consent',
      max_age: String(MAX_AGE_SECONDS),
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...more,
    });
    return { verifier, state, nonce, parameters, url: new URL(`${as.authorization_endpoint}?${parameters}`) };
  }

  type Attempt = Awaited<ReturnType<typeof beginSignIn>>;

  /** Redeems the code, and validates the nonce, the age and the signature of the ID token. */
  async function exchange(
    { client, auth }: App,
    attempt: Attempt,
    callback: URL,
    options: OAuth.DPoPRequestOptions = {},
  ) {
    const parameters = oauth.validateAuthResponse(as, client, callback, attempt.state);
    const { verifier, nonce } = attempt;
    const redeem = () =>
      oauth.authorizationCodeGrantRequest(as, client, auth, parameters, REDIRECT_URI, verifier, {
        ...options,
        ...HTTP,
      });
    return withNonce(async () => {
      const response = await redeem();
      const expected = { expectedNonce: nonce, maxAge: MAX_AGE_SECONDS, requireIdToken: true };
      const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, expected);
      await oauth.validateApplicationLevelSignature(as, response, HTTP);
      return tokens;
    });
  }

  /** Repeats a request if the server requires a DPoP nonce, which the first response contains. */
  async function withNonce<T>(send: () => Promise<T>): Promise<T> {
    return send().catch((error) => {
      if (oauth.isDPoPNonceError(error)) return send();
      throw error;
    });
  }

  async function signIn(app: App, email: string, options: OAuth.DPoPRequestOptions = {}) {
    const attempt = await beginSignIn(app);
    const callback = await completeSignIn(browserFor(server), attempt.url, email);
    return exchange(app, attempt, callback.url, options);
  }

  const userinfo = ({ client }: App, token: string, sub: string, options: OAuth.DPoPRequestOptions = {}) =>
    withNonce(async () => {
      const response = await oauth.userInfoRequest(as, client, token, { ...options, ...HTTP });
      return oauth.processUserInfoResponse(as, client, sub, response);
    });

  const refresh = ({ client, auth }: App, token: string, options: OAuth.DPoPRequestOptions = {}) =>
    withNonce(async () => {
      const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, { ...options, ...HTTP });
      return oauth.processRefreshTokenResponse(as, client, response);
    });

  const introspect = async ({ client, auth }: App, token: string) =>
    oauth.processIntrospectionResponse(
      as,
      client,
      await oauth.introspectionRequest(as, client, auth, token, { ...HTTP }),
    );

  it.each(['oidc', 'oauth2'] as const)('finds the metadata of the server by its issuer (%s)', async (algorithm) => {
    expect(await discover(algorithm)).toMatchObject({
      issuer: server.issuer,
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
    });
  });

  it('registers dynamically and signs a user in', async () => {
    const account = await server.account();
    const metadata = { client_name: 'Strict', redirect_uris: [REDIRECT_URI], grant_types: ['authorization_code'] };
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, HTTP);
    const registered = await oauth.processDynamicClientRegistrationResponse(response);
    const app = {
      client: registered as OAuth.Client,
      auth: oauth.ClientSecretBasic(registered.client_secret as string),
    };
    const tokens = await signIn(app, account.email);
    expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({ sub: account.id, email: account.email });
  });

  it('signs a user in, requests userinfo and refreshes with DPoP-bound tokens', async () => {
    const account = await server.account();
    const app = await createClient({ dpop_bound_access_tokens: true });
    const DPoP = oauth.DPoP(app.client, await oauth.generateKeyPair('ES256'));
    const tokens = await signIn(app, account.email, { DPoP });
    expect(tokens).toMatchObject({ token_type: 'dpop', expires_in: 28_800 });
    expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({ sub: account.id, email: account.email });
    expect(await userinfo(app, tokens.access_token, account.id, { DPoP })).toMatchObject({ email: account.email });

    const renewed = await refresh(app, tokens.refresh_token!, { DPoP });
    expect(renewed.token_type).toBe('dpop');
    expect(renewed.refresh_token).not.toBe(tokens.refresh_token);
    expect(await userinfo(app, renewed.access_token, account.id, { DPoP })).toMatchObject({ sub: account.id });
    const otherKey = oauth.DPoP(app.client, await oauth.generateKeyPair('ES256'));
    await expect(userinfo(app, renewed.access_token, account.id, { DPoP: otherKey })).rejects.toMatchObject({
      code: oauth.WWW_AUTHENTICATE_CHALLENGE,
      status: 401,
    });
    await expect(userinfo(app, renewed.access_token, account.id)).rejects.toMatchObject({ status: 401 });
  });

  it('signs a user in as a public client, with DPoP proofs of several algorithms', async () => {
    const account = await server.account();
    const app = await createClient({ token_endpoint_auth_method: 'none' });
    for (const alg of ['RS256', 'PS256', 'Ed25519']) {
      const DPoP = oauth.DPoP(app.client, await oauth.generateKeyPair(alg));
      const tokens = await signIn(app, account.email, { DPoP });
      expect((await refresh(app, tokens.refresh_token!, { DPoP })).token_type, alg).toBe('dpop');
    }
  });

  it('finds the issuer in the authorization response and rejects one without it (RFC 9207)', async () => {
    const account = await server.account();
    const app = await createClient();
    const attempt = await beginSignIn(app);
    const { url } = await completeSignIn(browserFor(server), attempt.url, account.email);
    expect(url.searchParams.get('iss')).toBe(server.issuer);
    const withoutIssuer = new URL(url);
    withoutIssuer.searchParams.delete('iss');
    await expect(exchange(app, attempt, withoutIssuer)).rejects.toMatchObject({ code: oauth.INVALID_RESPONSE });
    await expect(exchange(app, attempt, url)).resolves.toMatchObject({ token_type: 'bearer' });
  });

  it('finds the issuer in an error response', async () => {
    const account = await server.account();
    const app = await createClient();
    const attempt = await beginSignIn(app);
    const browser = browserFor(server);
    const consent = await browser.signIn(account.email, PASSWORD, await browser.open(attempt.url));
    const { url } = await browser.submit(consent, { decision: 'deny' });
    await expect(exchange(app, attempt, url)).rejects.toMatchObject({
      code: oauth.AUTHORIZATION_RESPONSE_ERROR,
      error: 'access_denied',
    });
  });

  it('pushes its authorization request (PAR), bound to its DPoP key', async () => {
    const account = await server.account();
    const app = await createClient();
    const DPoP = oauth.DPoP(app.client, await oauth.generateKeyPair('ES256'));
    const attempt = await beginSignIn(app);
    const pushed = await withNonce(async () => {
      const { parameters } = attempt;
      const options = { DPoP, ...HTTP };
      const response = await oauth.pushedAuthorizationRequest(as, app.client, app.auth, parameters, options);
      return oauth.processPushedAuthorizationResponse(as, app.client, response);
    });
    const query = new URLSearchParams({ client_id: app.client.client_id, request_uri: pushed.request_uri });
    const { url } = await completeSignIn(browserFor(server), `${as.authorization_endpoint}?${query}`, account.email);

    const otherKey = oauth.DPoP(app.client, await oauth.generateKeyPair('ES256'));
    await expect(exchange(app, attempt, url, { DPoP: otherKey })).rejects.toMatchObject({ error: 'invalid_grant' });
    const tokens = await signIn(app, account.email, { DPoP });
    expect(tokens.token_type).toBe('dpop');
  });

  it('revokes tokens and receives empty responses (RFC 7009)', async () => {
    const account = await server.account();
    const app = await createClient();
    const tokens = await signIn(app, account.email);
    for (const token of [tokens.access_token, tokens.refresh_token!, 'nonsense']) {
      const response = await oauth.revocationRequest(as, app.client, app.auth, token, HTTP);
      expect(response.headers.get('content-type')).toBeNull();
      expect(await response.clone().text()).toBe('');
      expect(await oauth.processRevocationResponse(response)).toBeUndefined();
    }
    await expect(userinfo(app, tokens.access_token, account.id)).rejects.toMatchObject({ status: 401 });
    await expect(refresh(app, tokens.refresh_token!)).rejects.toMatchObject({ error: 'invalid_grant' });
  });

  it('introspects tokens (RFC 7662)', async () => {
    const account = await server.account();
    const app = await createClient();
    const DPoP = oauth.DPoP(app.client, await oauth.generateKeyPair('ES256'));
    const tokens = await signIn(app, account.email, { DPoP });
    expect(await introspect(app, tokens.access_token)).toMatchObject({
      active: true,
      sub: account.id,
      client_id: app.client.client_id,
      token_type: 'DPoP',
      cnf: { jkt: await DPoP.calculateThumbprint() },
    });
    expect(await introspect(app, tokens.refresh_token!)).toMatchObject({ active: true, sub: account.id });
    expect(await introspect(app, 'nonsense')).toEqual({ active: false });
  });

  it('signs a user in on a device (RFC 8628)', async () => {
    const account = await server.account();
    const app = await createClient({
      token_endpoint_auth_method: 'none',
      grant_types: [DEVICE_GRANT],
      redirect_uris: [],
    });
    const { client, auth } = app;
    const device = await oauth.processDeviceAuthorizationResponse(
      as,
      client,
      await oauth.deviceAuthorizationRequest(as, client, auth, { scope: 'openid email' }, HTTP),
    );
    const poll = async () => {
      const response = await oauth.deviceCodeGrantRequest(as, client, auth, device.device_code, HTTP);
      return oauth.processDeviceCodeResponse(as, client, response);
    };
    await expect(poll()).rejects.toMatchObject({ error: 'authorization_pending', status: 400 });
    const browser = browserFor(server);
    const input = await browser.open(device.verification_uri);
    const confirmation = await browser.submit(input, { user_code: device.user_code });
    await completeSignIn(browser, await browser.submit(confirmation, { confirm: 'yes' }), account.email);
    expect(oauth.getValidatedIdTokenClaims(await poll())).toMatchObject({ sub: account.id, email: account.email });
  });

  it('receives a JWT access token for a resource, which validates with the published keys (RFC 9068)', async () => {
    const { client, auth } = await createClient({ grant_types: ['client_credentials'], redirect_uris: [] });
    const resource = `${server.issuer}/api/v1`;
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
    const tokens = await withNonce(async () => {
      const params = { resource, scope: 'memory:read' };
      const options = { DPoP, ...HTTP };
      const response = await oauth.clientCredentialsGrantRequest(as, client, auth, params, options);
      return oauth.processClientCredentialsResponse(as, client, response);
    });
    const requests: Request[] = [];
    await oauth.protectedResourceRequest(tokens.access_token, 'GET', new URL('http://api.example/'), undefined, null, {
      DPoP,
      ...HTTP,
      [oauth.customFetch]: async (url, options) => {
        requests.push(new Request(url, options as RequestInit));
        return new Response();
      },
    });
    const claims = await oauth.validateJwtAccessToken(as, requests[0]!, resource, { requireDPoP: true, ...HTTP });
    expect(claims).toMatchObject({ sub: client.client_id, client_id: client.client_id, scope: 'memory:read' });
    const other = oauth.validateJwtAccessToken(as, requests[0]!, 'https://other.example/api', HTTP);
    await expect(other).rejects.toMatchObject({ code: oauth.JWT_CLAIM_COMPARISON });
  });

  it('finds the authorization server of the JSON API (RFC 9728)', async () => {
    const resource = new URL(`${server.issuer}/api/v1`);
    const response = await oauth.resourceDiscoveryRequest(resource, HTTP);
    const found = await oauth.processResourceDiscoveryResponse(resource, response);
    expect(found.authorization_servers).toEqual([server.issuer]);
  });
});
