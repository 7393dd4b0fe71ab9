// A program that speaks to the JSON API.
import { ask, type RawAnswer } from './raw-request.js';
import type { TestServer } from './server.js';
import { PASSWORD } from './server.js';

export interface ApiLogin {
  access_token: string;
  refresh_token: string;
  user: Record<string, unknown>;
}

export interface Sent {
  body?: unknown;
  token?: string;
  headers?: Record<string, string>;
}

/** One call. `path` is what stands behind /api/v1. */
export const call = (server: { port: number }, method: string, path: string, sent?: Sent) =>
  send(server, method, `/api/v1${path}`, sent);

/** A body goes as JSON, a token as the bearer's. */
export function send(
  server: { port: number },
  method: string,
  path: string,
  { body, token, headers = {} }: Sent = {},
): Promise<RawAnswer> {
  const all = {
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...headers,
  };
  return ask(server, method, path, all, body === undefined ? undefined : JSON.stringify(body));
}

/** Signs in, without cookies. */
export async function logIn(server: { port: number }, email: string, password = PASSWORD): Promise<ApiLogin> {
  const answer = await call(server, 'POST', '/auth/login-json', { body: { username: email, password } });
  if (answer.status !== 200) throw new Error(`not signed in: ${answer.text}`);
  return answer.json as unknown as ApiLogin;
}

/** A new account that is signed in. */
export async function newLogin(server: TestServer): Promise<ApiLogin & { email: string; accountId: string }> {
  const { email, id: accountId } = await server.account();
  return { ...(await logIn(server, email)), email, accountId };
}

export const me = (server: { port: number }, token: string) => call(server, 'GET', '/auth/me', { token });

export const renew = (server: { port: number }, refreshToken: string) =>
  call(server, 'POST', '/auth/refresh', { body: { refresh_token: refreshToken } });

/** Cookies as a browser keeps them between answers: by name, whatever their path. */
export function cookieJar() {
  const jar = new Map<string, string>();
  return {
    jar,
    keep({ cookies }: RawAnswer): void {
      for (const line of cookies) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (value === '') jar.delete(name);
        else jar.set(name, value);
      }
    },
    header: () => [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
  };
}
