// Token families: the tokens of one authorization, and which of them the server still accepts.
import type { Browser } from './browser.js';
import { isActive, obtainCode, redeemCode, refresh, type TestClient, type TokenResponse } from './relying-party.js';
import { postForm, type Target, type TestResponse } from './request.js';
import type { TestServer } from './server.js';

/** Authorizes the client and returns its tokens. */
export async function openTokenFamily(
  server: TestServer,
  client: TestClient,
  email: string,
  more: Record<string, string> = {},
  browser?: Browser,
) {
  const obtained = await obtainCode(server, client, email, more, browser);
  const response = await redeemCode(server, client, obtained, more.resource ? { resource: more.resource } : {});
  if (response.status !== 200) throw new Error(`no tokens: ${JSON.stringify(response.body)}`);
  return { ...obtained, accessToken: response.body.access_token!, refreshToken: response.body.refresh_token! };
}

export async function introspect(
  target: Target,
  client: TestClient,
  token: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const { status, json } = await postForm(target, '/oauth/introspect', { token }, { client });
  return { status, body: json };
}

export const revoke = (target: Target, client: TestClient, token: string): Promise<TestResponse> =>
  postForm(target, '/oauth/revoke', { token }, { client });

/**
 * Returns the tokens of these responses that are still active. Asks the introspection endpoint
 * about JWTs, which the userinfo endpoint rejects, and redeems the refresh tokens.
 */
export async function activeTokens(
  target: Target,
  client: TestClient,
  responses: TokenResponse[],
  more: Record<string, string> = {},
): Promise<{ accessTokens: string[]; refreshTokens: string[] }> {
  const issued = responses.filter(({ status }) => status === 200).map(({ body }) => body);
  const accessTokens: string[] = [];
  for (const { access_token: accessToken = '' } of issued) {
    const active = accessToken.includes('.')
      ? (await introspect(target, client, accessToken)).body.active === true
      : await isActive(target, accessToken);
    if (active) accessTokens.push(accessToken);
  }
  const refreshTokens: string[] = [];
  for (const { refresh_token: refreshToken } of issued) {
    if (refreshToken && (await refresh(target, client, refreshToken, more)).status === 200)
      refreshTokens.push(refreshToken);
  }
  return { accessTokens, refreshTokens };
}

/** Runs the same operation several times concurrently. */
export function concurrently<Result>(times: number, run: (n: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: times }, (_, n) => run(n)));
}
