/**
 * Cookies of browser apps: access token, refresh token, and a CSRF token that scripts can read.
 * They are separate from the cookie of the pages.
 */

import { forbidden } from '../../base/app-error.js';
import { SECOND_MS } from '../../base/clock.js';
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import type { SessionWithTokens, Tokens } from '../../core/sessions/tokens.js';
import { isLoopback } from '../../kit/loopback.js';
import type { CookieAuth } from '../endpoints/endpoint.js';
import type { OriginCheck } from '../endpoints/origin-check.js';
import type { Context } from '../http/context.js';

interface Deps {
  issuer: string;
  secrets: Secrets;
  tokens: Pick<Tokens, 'signAccess'>;
  prefix: string;
  accessSeconds: number;
  originCheck: OriginCheck;
}

const AUTH_PATH = '/api/v1/auth';

export type ApiCookies = ReturnType<typeof createApiCookies>;

export function createApiCookies({ issuer, secrets, tokens, prefix, accessSeconds, originCheck }: Deps) {
  const { protocol, hostname } = new URL(issuer);
  const secure = protocol === 'https:';
  /**
   * Browsers accept a cookie with `Secure` only over HTTPS. Without HTTPS, only a loopback issuer
   * is safe.
   */
  const areSafe = secure || isLoopback(hostname);
  const names = { access: `${prefix}_access`, refresh: `${prefix}_refresh`, csrf: `${prefix}_csrf` };
  const base = { sameSite: 'strict', secure, signed: false, overwrite: true } as const;
  const options = {
    access: { ...base, httpOnly: true, path: '/' },
    refresh: { ...base, httpOnly: true, path: AUTH_PATH },
    csrf: { ...base, httpOnly: false, path: '/' },
  };

  const authentication: CookieAuth = {
    cookieName: names.access,
    scheme: 'cookie',
    requiresCsrfToken: true,
    checkCsrf,
    refreshToken,
  };

  return { names, authentication, canBeSet, set, clear, refreshToken, csrfTokenFor };

  /**
   * Reports whether the response can set cookies: the request comes from our own or an allowed
   * origin. False for programs, which send no origin. Throws `csrf_validation_failed` for any other
   * origin.
   */
  function canBeSet(ctx: Context): boolean {
    originCheck.check(ctx);
    return areSafe && originCheck.namesOrigin(ctx);
  }

  async function set(ctx: Context, authenticated: SessionWithTokens): Promise<void> {
    const { responseId, refreshToken: token, refreshSeconds } = authenticated.tokens;
    const { accessToken, seconds } = await tokens.signAccess(authenticated, responseId, accessSeconds);
    ctx.cookies.set(names.access, accessToken, { ...options.access, maxAge: seconds * SECOND_MS });
    ctx.cookies.set(names.refresh, token, { ...options.refresh, maxAge: refreshSeconds * SECOND_MS });
    ctx.cookies.set(names.csrf, csrfTokenFor(authenticated.session.id), {
      ...options.csrf,
      maxAge: refreshSeconds * SECOND_MS,
    });
  }

  function clear(ctx: Context): void {
    for (const name of ['access', 'refresh', 'csrf'] as const) ctx.cookies.set(names[name], null, options[name]);
  }

  function refreshToken(ctx: Context): string | undefined {
    return ctx.cookies.get(names.refresh, { signed: false });
  }

  /**
   * Returns one token for the whole session, so that a refresh in one tab keeps the others valid.
   */
  function csrfTokenFor(sessionId: string): string {
    return hmacSha256(secrets.key('api-csrf'), sessionId);
  }

  /**
   * Throws `csrf_validation_failed` unless header and cookie are equal and belong to this session.
   */
  function checkCsrf(ctx: Context, sessionId: string): void {
    const [header, cookie] = [ctx.get('X-CSRF-Token'), ctx.cookies.get(names.csrf, { signed: false }) ?? ''];
    const isGenuine = secrets.keys('api-csrf').some((key) => constantTimeEqual(hmacSha256(key, sessionId), header));
    if (!isGenuine || !constantTimeEqual(header, cookie)) {
      throw forbidden('csrf_validation_failed', 'Send the CSRF token of the cookie in the header X-CSRF-Token.');
    }
  }
}
