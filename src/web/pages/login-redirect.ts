/** The destination after a sign-in, and the app that requested it. Never leads to another site. */
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import { queryParam } from '../http/body.js';
import type { Context } from '../http/context.js';
import { allowFormTarget } from '../http/security-headers.js';

const HOME = '/account';
const MAX_LENGTH = 2000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
const UNSAFE = /[\u0000-\u0020\u007f\\]/;

/** The destination of a sign-in. */
export interface LoginRedirect {
  returnTo: string;
  /** The app that requested the sign-in. */
  appName?: string;
  /** The source that `form-action` needs for the app's redirect URI. See `formTarget`. */
  formTarget?: string | undefined;
  /** The app's `login_hint`. */
  email?: string;
}

export type LoginRedirects = ReturnType<typeof createLoginRedirects>;

/** Returns the path if it belongs to this server, else the account page (RFC 9700, 4.11). */
export function safeReturnTo(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || UNSAFE.test(value)) return HOME;
  if (!value.startsWith('/') || value.startsWith('//')) return HOME;
  const base = 'https://own.invalid';
  const url = URL.parse(value, base);
  return url?.origin === base ? `${url.pathname}${url.search}`.replace(/^\/{2,}/, '/') : HOME;
}

/**
 * Creates and reads the query of the sign-in page. The name of the app is signed, so that nothing
 * else can make the page name an app.
 */
export function createLoginRedirects({ secrets }: { secrets: Secrets }) {
  return { urlFor, read };

  function urlFor(
    path: '/login' | '/login/otp' | '/register' | `/login/with/${string}`,
    { returnTo, appName, formTarget, email }: LoginRedirect,
  ): string {
    const query = new URLSearchParams({
      ...(returnTo !== HOME && { return_to: returnTo }),
      ...(appName && { app: appName, ...(formTarget && { to: formTarget }) }),
      ...(appName && { proof: sign(secrets.key('login-redirect'), returnTo, appName, formTarget) }),
      ...(email && { login_hint: email }),
    });
    return query.size > 0 ? `${path}?${query}` : path;
  }

  /** Reads the destination, and allows the forms of this page to lead there. */
  function read(ctx: Context): LoginRedirect {
    const returnTo = safeReturnTo(queryParam(ctx, 'return_to'));
    const appName = queryParam(ctx, 'app');
    const formTarget = queryParam(ctx, 'to');
    const proof = queryParam(ctx, 'proof') ?? '';
    const genuine =
      appName &&
      secrets.keys('login-redirect').some((key) => constantTimeEqual(sign(key, returnTo, appName, formTarget), proof));
    const email = queryParam(ctx, 'login_hint')?.slice(0, 254);
    if (!genuine) return { returnTo, appName: undefined, email };
    allowFormTarget(ctx, formTarget);
    return { returnTo, appName, formTarget, email };
  }
}

const sign = (key: Buffer, returnTo: string, appName: string, formTarget = '') =>
  hmacSha256(key, `${returnTo}\n${appName}\n${formTarget}`);
