/** CSRF protection of forms: each form has a token that is derived from a cookie of the browser. */
import { forbidden } from '../../base/app-error.js';
import type { Secrets } from '../../base/crypto.js';
import { constantTimeEqual, hmacSha256, randomToken } from '../../base/crypto.js';
import { hostCookie } from '../cookies/cookies.js';
import type { Context } from '../http/context.js';

export type Csrf = ReturnType<typeof createCsrf>;

export function createCsrf({ issuer, secrets }: { issuer: string; secrets: Secrets }) {
  const { name, options } = hostCookie(issuer, 'signet_csrf');

  return { tokenFor, check, renew };

  /**
   * Returns the token for this browser's forms. Sets the cookie if it is missing.
   *
   * @param boundValue a value in the form; the token is valid only together with it
   */
  function tokenFor(ctx: Context, boundValue = ''): string {
    let seed = ctx.cookies.get(name, { signed: false });
    if (!seed || !/^[\w-]{43}$/.test(seed)) {
      seed = randomToken();
      ctx.cookies.set(name, seed, options);
    }
    return hmacSha256(secrets.key('csrf'), seed + boundValue);
  }

  /** Replaces the seed after a sign-in, so that earlier tokens become invalid. */
  function renew(ctx: Context): void {
    ctx.cookies.set(name, randomToken(), options);
  }

  /** Throws `csrf_validation_failed` unless this browser submitted a form of one of our pages. */
  function check(ctx: Context, token: unknown, boundValue = ''): void {
    const site = ctx.get('Sec-Fetch-Site');
    const origin = ctx.get('Origin');
    const isCrossSite =
      (site && site !== 'same-origin' && site !== 'none') || (origin && origin !== 'null' && origin !== issuer);
    const seed = ctx.cookies.get(name, { signed: false });
    const isValidToken =
      typeof token === 'string' &&
      seed !== undefined &&
      secrets.keys('csrf').some((key) => constantTimeEqual(hmacSha256(key, seed + boundValue), token));
    if (isCrossSite || !isValidToken) {
      throw forbidden('csrf_validation_failed', 'This form has expired. Go back, reload the page and try again.');
    }
  }
}
