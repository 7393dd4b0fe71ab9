// A program in front of the JSON API, and what a browser would keep of its answers.
import { ask, type RawAnswer } from './raw-request.js';
import { PASSWORD, type TestServer } from './server.js';

type Headers = Record<string, string>;

/** As it stands in a Set-Cookie line; the attributes in lower case. */
export interface SetCookie {
  name: string;
  value: string;
  attributes: Record<string, string | true>;
}

export const askJson = (server: TestServer, method: string, path: string, headers: Headers = {}, body?: unknown) =>
  ask(
    server,
    method,
    `/api/v1${path}`,
    { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    body === undefined ? undefined : JSON.stringify(body),
  );

export function cookiesOf({ cookies }: RawAnswer): SetCookie[] {
  return cookies.map((line) => {
    const [pair = '', ...attributes] = line.split(/; ?/);
    return {
      name: pair.slice(0, pair.indexOf('=')),
      value: pair.slice(pair.indexOf('=') + 1),
      attributes: Object.fromEntries(
        attributes.map((text) => [text.split('=')[0]!.toLowerCase(), text.includes('=') ? text.split('=')[1]! : true]),
      ),
    };
  });
}

/** Signed in as a browser app of our own origin: its cookies, and what the answer said. */
export async function loginByCookie(
  server: TestServer,
  email: string,
  headers: Headers = { 'sec-fetch-site': 'same-origin' },
) {
  const answer = await askJson(server, 'POST', '/auth/login', headers, { email, password: PASSWORD });
  const set = cookiesOf(answer);
  const named = (suffix: string) => set.find(({ name }) => name.endsWith(suffix))?.value ?? '';
  return {
    answer,
    set,
    access: named('_access'),
    refresh: named('_refresh'),
    csrf: named('_csrf'),
    bearer: { authorization: `Bearer ${String(answer.json.access_token)}` },
  };
}
