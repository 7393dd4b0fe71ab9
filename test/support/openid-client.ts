// A third-party app as most are written: openid-client, given nothing but the address of the house
// and its own credentials.
import * as oidc from 'openid-client';
import { Browser, formsOf, type Page } from './browser.js';
import { REDIRECT_URI, type TestClient } from './relying-party.js';
import { PASSWORD, type TestServer } from './server.js';

/** The app's view of the house; a client without a secret is public. */
export function discover(server: TestServer, client: TestClient, auth?: oidc.ClientAuth): Promise<oidc.Configuration> {
  return oidc.discovery(
    new URL(server.issuer),
    client.id,
    undefined,
    auth ?? (client.secret ? oidc.ClientSecretBasic(client.secret) : oidc.None()),
    { execute: [oidc.allowInsecureRequests] },
  );
}

/** What the app remembers between sending a person away and seeing them again. */
export interface SignInAttempt {
  url: URL;
  parameters: Record<string, string>;
  checks: oidc.AuthorizationCodeGrantChecks & {
    pkceCodeVerifier: string;
    expectedState: string;
    expectedNonce: string;
  };
}

/** Where the app sends the person, with PKCE, state and nonce; an empty parameter is left out. */
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

/**
 * The person's way through our pages, signing in and allowing where asked, to the first page that
 * is neither.
 */
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

/** The whole of it: there, through the pages and back, and the code exchanged. */
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

/**
 * The end of it, at the app. Rejects with an AuthorizationResponseError when the answer is a no.
 */
export function exchange(
  config: oidc.Configuration,
  callback: URL | Request,
  { checks }: Pick<SignInAttempt, 'checks'>,
  { resource = '' }: Record<string, string> = {},
  options: oidc.AuthorizationCodeGrantOptions = {},
) {
  return oidc.authorizationCodeGrant(config, callback, checks, resource ? { resource } : {}, options);
}

/** What a form that submits itself to the app would send. */
export function formPostRequest(page: Page): Request {
  const [form] = formsOf(page.html);
  if (!form) throw new Error(`there is no form on ${page.url}: ${page.html}`);
  return new Request(form.action, { method: 'POST', body: new URLSearchParams(form.fields) });
}

/** A browser of its own for each person. */
export const browserFor = (server: TestServer) => new Browser(server.origin);
