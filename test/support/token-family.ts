// Families of tokens, and which of their members are alive: asked of the server, never of its
// tables.
import type { Browser } from './browser.js';
import { isAlive, obtainCode, redeem, refresh, type TestClient, type TokenAnswer } from './relying-party.js';
import type { TestServer } from './server.js';

/** The tokens of a new authorization. */
export async function openFamily(
  server: TestServer,
  client: TestClient,
  email: string,
  more: Record<string, string> = {},
  browser?: Browser,
) {
  const obtained = await obtainCode(server, client, email, more, browser);
  const answer = await redeem(server, client, obtained, more.resource ? { resource: more.resource } : {});
  if (answer.status !== 200) throw new Error(`no tokens: ${JSON.stringify(answer.body)}`);
  return { ...obtained, accessToken: answer.body.access_token!, refreshToken: answer.body.refresh_token! };
}

export async function introspect(
  server: { origin: string },
  client: TestClient,
  token: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await post(server, client, '/oauth/introspect', { token });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

export async function revoke(server: { origin: string }, client: TestClient, token: string): Promise<Response> {
  return post(server, client, '/oauth/revoke', { token });
}

/**
 * Which of the tokens in these answers are alive. JWTs, which userinfo does not take, are asked
 * about by introspection.
 */
export async function livingOf(
  server: { origin: string },
  client: TestClient,
  answers: TokenAnswer[],
  more: Record<string, string> = {},
): Promise<{ accessTokens: string[]; refreshTokens: string[] }> {
  const given = answers.filter(({ status }) => status === 200).map(({ body }) => body);
  const accessTokens: string[] = [];
  for (const { access_token: accessToken = '' } of given) {
    const alive = accessToken.includes('.')
      ? (await introspect(server, client, accessToken)).body.active === true
      : await isAlive(server, accessToken);
    if (alive) accessTokens.push(accessToken);
  }
  const refreshTokens: string[] = [];
  for (const { refresh_token: refreshToken } of given) {
    if (refreshToken && (await refresh(server, client, refreshToken, more)).status === 200)
      refreshTokens.push(refreshToken);
  }
  return { accessTokens, refreshTokens };
}

/** The same thing at once. */
export function atOnce<Result>(times: number, run: (n: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: times }, (_, n) => run(n)));
}

function post(server: { origin: string }, { id, secret }: TestClient, path: string, params: Record<string, string>) {
  const basic = secret && `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  return fetch(`${server.origin}${path}`, {
    method: 'POST',
    headers: { ...(basic && { authorization: basic }) },
    body: new URLSearchParams({ ...(!basic && { client_id: id }), ...params }),
  });
}
