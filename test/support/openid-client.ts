// A third-party app that uses openid-client, configured with the issuer and its own credentials
// only.
import * as oidc from 'openid-client';
import { Browser, formsOf, type Page } from './browser.js';
import { REDIRECT_URI, type TestClient } from './relying-party.js';
import { PASSWORD, type TestServer } from './server.js';

/** Discovers the server. A client without a secret is public. */
export function discover(server: TestServer, client: TestClient, auth?: oidc.ClientAuth): Promise<oidc.Configuration> {
  return oidc.discovery(
    new URL(server.issuer),
    client.id,
    undefined,
    auth ?? (client.secret ? oidc.ClientSecretBasic(client.secret) : oidc.None()),
    { execute: [oidc.allowInsecureRequests] },
  );
}

/** The state that an app keeps between the authorization request and the callback. */
export interface SignInAttempt {
  url: URL;
  parameters: Record<string, string>;
  checks: oidc.AuthorizationCodeGrantChecks & {
    pkceCodeVerifier: string;
    expectedState: string;
    expectedNonce: string;
  };
}

/** Builds an authorization request with PKCE, state and nonce. Leaves out empty parameters. */
export async function beginSignIn(
  config: oidc.Configuration,
  more: Record<string, string> = {},
): Promise<SignInAttempt> {
  const checks = {
    pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
    expectedState: oidc.randomState(),
    expectedNonce: oidc.randomNonce(),
  };
  const all = {
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email',
    code_challenge: await oidc.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...more,
  };
  const parameters = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
  return { url: oidc.buildAuthorizationUrl(config, parameters), parameters, checks };
}

/** Signs in and consents where a page asks for it. Returns the first page that does neither. */
export async function completeSignIn(browser: Browser, start: string | URL | Page, email: string, password = PASSWORD) {
  let page = typeof start === 'string' || start instanceof URL ? await browser.open(start) : start;
  for (let step = 0; step < 5 && page.url.origin === browser.origin; step += 1) {
    if (page.url.pathname === '/login') page = await browser.signIn(email, password, page);
    else if (isConsent(page)) page = await browser.submit(page, { decision: 'allow' });
    else break;
  }
  return page;
}

export const isLogin = (page: Page) => page.url.pathname === '/login';
export const isConsent = (page: Page) => page.status === 200 && page.url.pathname.startsWith('/interaction/');

/** Runs the whole authorization code flow and returns the tokens. */
export async function signIn(
  config: oidc.Configuration,
  browser: Browser,
  email: string,
  more: Record<string, string> = {},
  options: oidc.AuthorizationCodeGrantOptions = {},
) {
  const attempt = await beginSignIn(config, more);
  const { url } = await completeSignIn(browser, attempt.url, email);
  return exchange(config, url, attempt, more, options);
}

/** Handles the callback. Rejects with an AuthorizationResponseError if it carries an error. */
export function exchange(
  config: oidc.Configuration,
  callback: URL | Request,
  { checks }: Pick<SignInAttempt, 'checks'>,
  { resource = '' }: Record<string, string> = {},
  options: oidc.AuthorizationCodeGrantOptions = {},
) {
  return oidc.authorizationCodeGrant(config, callback, checks, resource ? { resource } : {}, options);
}

/** Returns the request that the form of a form_post response submits to the app. */
export function formPostRequest(page: Page): Request {
  const [form] = formsOf(page.html);
  if (!form) throw new Error(`no form on ${page.url}: ${page.html}`);
  return new Request(form.action, { method: 'POST', body: new URLSearchParams(form.fields) });
}

/** Opens a browser without cookies. */
export const browserFor = (server: TestServer) => new Browser(server.origin);
