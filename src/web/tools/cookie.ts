/** The cookie of the tools API: an access token, for its paths only, without a CSRF token. */
import { SECOND_MS } from '../../base/clock.js';
import type { SessionWithAccessToken } from '../../core/sessions/tokens.js';
import { isLoopback } from '../../kit/loopback.js';
import type { CookieAuth } from '../endpoints/endpoint.js';
import type { OriginCheck } from '../endpoints/origin-check.js';
import type { Context } from '../http/context.js';

interface Deps {
  issuer: string;
  name: string;
  originCheck: OriginCheck;
}

export type ToolsCookie = ReturnType<typeof createToolsCookie>;

export function createToolsCookie({ issuer, name, originCheck }: Deps) {
  const { protocol, hostname } = new URL(issuer);
  const secure = protocol === 'https:';
  const options = { httpOnly: true, secure, sameSite: 'strict', path: '/api', signed: false, overwrite: true } as const;
  const authentication: CookieAuth = {
    cookieName: name,
    scheme: 'toolsCookie',
    requiresCsrfToken: false,
    checkCsrf,
  };

  return { authentication, checkCsrf, set, clear };

  /**
   * Requests without an origin do not come from a page: browsers send it with each change. SameSite
   * stops other sites; this check stops other origins of our own site, such as the tools.
   */
  function checkCsrf(ctx: Context): void {
    originCheck.check(ctx);
  }

  function set(ctx: Context, { accessToken, seconds }: SessionWithAccessToken): void {
    if (!secure && !isLoopback(hostname)) return; // it would go over the network in the clear
    ctx.cookies.set(name, accessToken, { ...options, maxAge: seconds * SECOND_MS });
  }

  function clear(ctx: Context): void {
    ctx.cookies.set(name, null, options);
  }
}
