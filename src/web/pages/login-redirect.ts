/** The destination after a sign-in, and the app that requested it. It is never another site. */
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import { queryParam } from '../http/body.js';
import type { Context } from '../http/context.js';

const DEFAULT_DESTINATION = '/account';
const MAX_PATH_LENGTH = 2000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: matched in order to reject them
const UNSAFE_CHARACTERS = /[\u0000-\u0020\u007f\\]/;

/** The destination of a sign-in. */
export interface LoginRedirect {
  /** A path of this server. */
  returnTo: string;
  /** The app that requested the sign-in. */
  appName?: string;
  /** The app's `login_hint`. */
  email?: string;
}

export type LoginRedirects = ReturnType<typeof createLoginRedirects>;

/** Returns the value if it is a path of this server, else the account page (RFC 9700, 4.11). */
export function safeReturnTo(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_PATH_LENGTH || UNSAFE_CHARACTERS.test(value))
    return DEFAULT_DESTINATION;
  if (!value.startsWith('/') || value.startsWith('//')) return DEFAULT_DESTINATION;
  const base = 'https://own.invalid';
  const url = URL.parse(value, base);
  return url?.origin === base ? `${url.pathname}${url.search}`.replace(/^\/{2,}/, '/') : DEFAULT_DESTINATION;
}

/**
 * Creates and reads the query of the sign-in page. The name of the app is signed, so that an
 * attacker cannot create a link to a sign-in page that names an app.
 */
export function createLoginRedirects({ secrets }: { secrets: Secrets }) {
  return { urlFor, read };

  /** Returns the URL of a sign-in page with this destination in its query. */
  function urlFor(
    path: '/login' | '/login/otp' | '/register' | `/login/with/${string}`,
    { returnTo, appName, email }: LoginRedirect,
  ): string {
    const query = new URLSearchParams({
      ...(returnTo !== DEFAULT_DESTINATION && { return_to: returnTo }),
      ...(appName && { app: appName, proof: sign(secrets.key('login-redirect'), returnTo, appName) }),
      ...(email && { login_hint: email }),
    });
    return query.size > 0 ? `${path}?${query}` : path;
  }

  /** Returns the destination in the query. */
  function read(ctx: Context): LoginRedirect {
    const returnTo = safeReturnTo(queryParam(ctx, 'return_to'));
    const appName = queryParam(ctx, 'app');
    const proof = queryParam(ctx, 'proof') ?? '';
    const isSigned =
      appName && secrets.keys('login-redirect').some((key) => constantTimeEqual(sign(key, returnTo, appName), proof));
    const email = queryParam(ctx, 'login_hint')?.slice(0, 254);
    return { returnTo, ...(isSigned && { appName }), ...(email !== undefined && { email }) };
  }
}

const sign = (key: Buffer, returnTo: string, appName: string) => hmacSha256(key, `${returnTo}\n${appName}`);
