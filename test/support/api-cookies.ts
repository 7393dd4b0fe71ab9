// Sign-in with cookies at the JSON API, as a browser does it.
import { callApi, type TestResponse } from './request.js';
import { PASSWORD, type TestServer } from './server.js';

/** One `Set-Cookie` line. Attribute names are in lower case. */
export interface SetCookie {
  name: string;
  value: string;
  attributes: Record<string, string | true>;
}

export function cookiesOf({ cookies }: TestResponse): SetCookie[] {
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

/** Signs in with a password as a page of our own origin. Returns the cookies and the response. */
export async function logInWithCookies(
  server: TestServer,
  email: string,
  headers: Record<string, string> = { 'sec-fetch-site': 'same-origin' },
) {
  const response = await callApi(server, 'POST', '/auth/login', { headers, body: { email, password: PASSWORD } });
  const set = cookiesOf(response);
  const named = (suffix: string) => set.find(({ name }) => name.endsWith(suffix))?.value ?? '';
  return {
    response,
    set,
    access: named('_access'),
    refresh: named('_refresh'),
    csrf: named('_csrf'),
    bearer: { authorization: `Bearer ${String(response.json.access_token)}` },
  };
}
