/**
 * Where a person goes after signing in: a path of ours, or nowhere. And for which app, if we said
 * so ourselves.
 */
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import { queryParam } from '../http/body.js';
import type { Context } from '../http/context.js';
import { allowFormTarget } from '../http/security-headers.js';

const HOME = '/account';
const MAX_LENGTH = 2000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
const UNSAFE = /[\u0000-\u0020\u007f\\]/;

/** Why somebody is sent to sign in. */
export interface LoginRedirect {
  returnTo: string;
  /** The app that waits for it. */
  appName?: string;
  /**
   * Where the app's answer goes, where the forms on the way must be allowed to lead there (see
   * formTarget).
   */
  formTarget?: string | undefined;
  /** What the app thinks the person's address is. */
  email?: string;
}

export type LoginRedirects = ReturnType<typeof createLoginRedirects>;

/**
 * The path if it is one of ours, else the account's home: never an address somebody else chose (RFC
 * 9700, 4.11).
 */
export function safeReturnTo(value: unknown): string {
  if (typeof value !== 'string' || value.length > MAX_LENGTH || UNSAFE.test(value)) return HOME;
  if (!value.startsWith('/') || value.startsWith('//')) return HOME;
  const base = 'https://own.invalid';
  const url = URL.parse(value, base);
  return url?.origin === base ? `${url.pathname}${url.search}`.replace(/^\/{2,}/, '/') : HOME;
}

/**
 * Links to the sign-in page and back. What is told of the app is signed: nobody can make our page
 * speak for an app of his choice.
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
      ...(appName && { proof: sign(secrets.key('errands'), returnTo, appName, formTarget) }),
      ...(email && { login_hint: email }),
    });
    return query.size > 0 ? `${path}?${query}` : path;
  }

  /** The page that is being answered may lead to where the app waits. */
  function read(ctx: Context): LoginRedirect {
    const returnTo = safeReturnTo(queryParam(ctx, 'return_to'));
    const appName = queryParam(ctx, 'app');
    const formTarget = queryParam(ctx, 'to');
    const proof = queryParam(ctx, 'proof') ?? '';
    const genuine =
      appName &&
      secrets.keys('errands').some((key) => constantTimeEqual(sign(key, returnTo, appName, formTarget), proof));
    const email = queryParam(ctx, 'login_hint')?.slice(0, 254);
    if (!genuine) return { returnTo, appName: undefined, email };
    allowFormTarget(ctx, formTarget);
    return { returnTo, appName, formTarget, email };
  }
}

const sign = (key: Buffer, returnTo: string, appName: string, formTarget = '') =>
  hmacSha256(key, `${returnTo}\n${appName}\n${formTarget}`);
