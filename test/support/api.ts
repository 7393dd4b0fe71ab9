// Accounts and sessions of the JSON API.
import { callApi, type Target, type TestResponse } from './request.js';
import { PASSWORD, type TestServer } from './server.js';

export interface ApiSession {
  access_token: string;
  refresh_token: string;
  user: Record<string, unknown>;
}

/** Signs in with a password, without cookies. */
export async function logIn(target: Target, email: string, password = PASSWORD): Promise<ApiSession> {
  const response = await callApi(target, 'POST', '/auth/login-json', { body: { username: email, password } });
  if (response.status !== 200) throw new Error(`not signed in: ${response.text}`);
  return response.json as unknown as ApiSession;
}

export async function createSignedInAccount(
  server: TestServer,
): Promise<ApiSession & { email: string; accountId: string }> {
  const { email, id: accountId } = await server.account();
  return { ...(await logIn(server, email)), email, accountId };
}

export const getMe = (target: Target, token: string) => callApi(target, 'GET', '/auth/me', { token });

export const refreshSession = (target: Target, refreshToken: string) =>
  callApi(target, 'POST', '/auth/refresh', { body: { refresh_token: refreshToken } });

/** Keeps cookies by name and ignores their paths. An empty value deletes a cookie. */
export function cookieJar() {
  const jar = new Map<string, string>();
  return {
    jar,
    keep({ cookies }: TestResponse): void {
      for (const line of cookies) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (value === '') jar.delete(name);
        else jar.set(name, value);
      }
    },
    header: () => [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
  };
}
