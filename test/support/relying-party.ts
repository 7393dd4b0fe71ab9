// What a third-party app does, by hand: for tests that need to send what no library would.
import { createHash, randomBytes } from 'node:crypto';
import { Browser, type Page } from './browser.js';
import type { TestServer } from './server.js';
import { PASSWORD } from './server.js';

export interface TestClient {
  id: string;
  secret: string;
}

export interface TokenAnswer {
  status: number;
  body: Record<string, string> & { expires_in?: number };
  headers: Headers;
}

export const REDIRECT_URI = 'https://acme.example/cb';

export function pkce() {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

export function authorizeUrl(
  server: Pick<TestServer, 'origin'>,
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

/** Signs in and consents as far as it is asked to. Returns the redirect that leaves us. */
export async function passThrough(browser: Browser, start: Page | string, email: string): Promise<URL> {
  let page = typeof start === 'string' ? await browser.open(start) : start;
  for (let step = 0; step < 4 && page.url.origin === browser.origin; step += 1) {
    if (page.status >= 400) throw new Error(`${page.status} at ${page.url}: ${page.html}`);
    if (page.url.pathname === '/login') page = await browser.signIn(email, PASSWORD, page);
    else if (page.url.pathname.startsWith('/interaction/')) page = await browser.submit(page, { decision: 'allow' });
    else break;
  }
  return page.url;
}

/** A code for this person, with its verifier. */
export async function obtainCode(
  server: TestServer,
  client: { id: string },
  email: string,
  more: Record<string, string> = {},
  browser = new Browser(server.origin),
) {
  const { verifier, challenge } = pkce();
  const url = await passThrough(browser, authorizeUrl(server, client, challenge, more), email);
  const code = url.searchParams.get('code');
  if (!code) throw new Error(`no code in ${url}`);
  return { code, verifier, browser, redirect: url };
}

/** Posts to the token endpoint, as a confidential client unless it has no secret. */
export async function token(
  server: { origin: string },
  client: TestClient,
  params: Record<string, string>,
  init: { headers?: Record<string, string>; path?: string } = {},
): Promise<TokenAnswer> {
  const basic = client.secret && `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`;
  const response = await fetch(`${server.origin}${init.path ?? '/api/v1/oauth/token'}`, {
    method: 'POST',
    headers: { ...(basic && { authorization: basic }), ...init.headers },
    body: new URLSearchParams({ ...(!basic && { client_id: client.id }), ...params }),
  });
  return { status: response.status, body: (await response.json()) as TokenAnswer['body'], headers: response.headers };
}

export function redeem(
  server: { origin: string },
  client: TestClient,
  { code, verifier }: { code: string; verifier: string },
  more: Record<string, string> = {},
) {
  return token(server, client, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
    ...more,
  });
}

export function refresh(
  server: { origin: string },
  client: TestClient,
  refreshToken: string,
  more: Record<string, string> = {},
) {
  return token(server, client, { grant_type: 'refresh_token', refresh_token: refreshToken, ...more });
}

/** Whether an access token still works at userinfo. */
export async function isAlive(server: { origin: string }, accessToken: string): Promise<boolean> {
  const response = await fetch(`${server.origin}/oauth/userinfo`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  return response.status === 200;
}
