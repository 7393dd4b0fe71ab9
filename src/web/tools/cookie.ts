/**
 * The cookie of people who keep and use tools: an access token, for the paths of this dialect.
 * Beside it there is no CSRF token.
 */
import { SECOND_MS } from '../../base/clock.js';
import type { SessionWithAccessToken } from '../../core/sessions/tokens.js';
import { isLoopback } from '../../kit/loopback.js';
import type { Browsers } from '../endpoints/endpoint.js';
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
  const browsers: Browsers = { cookieName: name, scheme: 'toolsCookie', hasCsrfToken: false, checkChange };

  return { browsers, checkChange, set, clear };

  /**
   * What names no origin is sent by no page: browsers say with each change where it comes from.
   * SameSite keeps those of other sites away from the cookie; this keeps away those of our own site
   * that are not ours, such as the tools beside us.
   */
  function checkChange(ctx: Context): void {
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
