// The steps of a client without a library, for requests that no library would send.
import { createHash, randomBytes } from 'node:crypto';
import { Browser, type Page } from './browser.js';
import { postForm, sendRequest, type Target, type TestResponse } from './request.js';
import { PASSWORD, type TestServer } from './server.js';

export interface TestClient {
  id: string;
  secret: string;
}

export interface TokenResponse {
  status: number;
  body: Record<string, string> & { expires_in?: number };
  headers: TestResponse['headers'];
}

export const REDIRECT_URI = 'https://acme.example/cb';

export function pkce() {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

export function authorizeUrl(
  server: Target,
  client: { id: string },
  challenge: string,
  more: Record<string, string> = {},
): string {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.id,
    redirect_uri: REDIRECT_URI,
    scope: 'openid profile email',
    state: 'state-1',
    nonce: 'nonce-1',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...more,
  });
  return `${server.origin}/oauth/authorize?${query}`;
}

/** Signs in and consents where a page asks for it. Returns the redirect to another origin. */
export async function signInAndConsent(browser: Browser, start: Page | string, email: string): Promise<URL> {
  let page = typeof start === 'string' ? await browser.open(start) : start;
  for (let step = 0; step < 4 && page.url.origin === browser.origin; step += 1) {
    if (page.status >= 400) throw new Error(`${page.status} at ${page.url}: ${page.html}`);
    if (page.url.pathname === '/login') page = await browser.signIn(email, PASSWORD, page);
    else if (page.url.pathname.startsWith('/interaction/')) page = await browser.submit(page, { decision: 'allow' });
    else break;
  }
  return page.url;
}

/** Obtains an authorization code for the user, with its PKCE verifier. */
export async function obtainCode(
  server: TestServer,
  client: { id: string },
  email: string,
  more: Record<string, string> = {},
  browser = new Browser(server.origin),
) {
  const { verifier, challenge } = pkce();
  const url = await signInAndConsent(browser, authorizeUrl(server, client, challenge, more), email);
  const code = url.searchParams.get('code');
  if (!code) throw new Error(`no code in ${url}`);
  return { code, verifier, browser, redirect: url };
}

/** Posts to the token endpoint, as a public client if there is no secret. */
export async function requestToken(
  target: Target,
  client: TestClient,
  params: Record<string, string>,
  { path = '/api/v1/oauth/token', headers }: { headers?: Record<string, string>; path?: string } = {},
): Promise<TokenResponse> {
  const { json, ...response } = await postForm(target, path, params, { client, headers });
  return { ...response, body: json as TokenResponse['body'] };
}

export function redeemCode(
  target: Target,
  client: TestClient,
  { code, verifier }: { code: string; verifier: string },
  more: Record<string, string> = {},
) {
  return requestToken(target, client, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
    ...more,
  });
}

export function refresh(target: Target, client: TestClient, refreshToken: string, more: Record<string, string> = {}) {
  return requestToken(target, client, { grant_type: 'refresh_token', refresh_token: refreshToken, ...more });
}

/** Reports whether the userinfo endpoint accepts an access token. */
export async function isActive(target: Target, accessToken: string): Promise<boolean> {
  const { status } = await sendRequest(target, 'GET', '/oauth/userinfo', { authorization: `Bearer ${accessToken}` });
  return status === 200;
}
