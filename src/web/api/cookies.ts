/**
 * The cookies of browser apps: the access token, the refresh token, and the CSRF token that a
 * script reads and sends back. They sign nobody in at the pages, and the pages' cookie is none of
 * these.
 */

import { forbidden } from '../../base/app-error.js';
import { SECOND_MS } from '../../base/clock.js';
import { constantTimeEqual, hmacSha256, type Secrets } from '../../base/crypto.js';
import type { SessionWithTokens, Tokens } from '../../core/sessions/tokens.js';
import { isLoopback } from '../../kit/loopback.js';
import type { Browsers } from '../endpoints/endpoint.js';
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
   * A browser keeps a cookie with `Secure` only when it came by https; without, only this very
   * machine is private enough.
   */
  const areSafe = secure || isLoopback(hostname);
  const names = { access: `${prefix}_access`, refresh: `${prefix}_refresh`, csrf: `${prefix}_csrf` };
  const base = { sameSite: 'strict', secure, signed: false, overwrite: true } as const;
  const options = {
    access: { ...base, httpOnly: true, path: '/' },
    refresh: { ...base, httpOnly: true, path: AUTH_PATH },
    csrf: { ...base, httpOnly: false, path: '/' },
  };

  const browsers: Browsers = {
    cookieName: names.access,
    scheme: 'cookie',
    hasCsrfToken: true,
    checkChange: checkCsrf,
    refreshToken,
  };

  return { names, browsers, mayBeSet, set, clear, refreshToken, csrfTokenFor };

  /**
   * Whether this request may be answered with cookies: it comes from our own origin or a listed
   * one. A program that says nothing about where it comes from does without. Refuses with
   * `csrf_validation_failed` what comes from anywhere else.
   */
  function mayBeSet(ctx: Context): boolean {
    originCheck.check(ctx);
    return areSafe && originCheck.isListed(ctx);
  }

  async function set(ctx: Context, login: SessionWithTokens): Promise<void> {
    const { answerId, refreshToken: token, refreshSeconds } = login.tokens;
    const { accessToken, seconds } = await tokens.signAccess(login, answerId, accessSeconds);
    ctx.cookies.set(names.access, accessToken, { ...options.access, maxAge: seconds * SECOND_MS });
    ctx.cookies.set(names.refresh, token, { ...options.refresh, maxAge: refreshSeconds * SECOND_MS });
    ctx.cookies.set(names.csrf, csrfTokenFor(login.session.id), {
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

  /** The same for the whole login, so that one tab which refreshes does not shut out the others. */
  function csrfTokenFor(sessionId: string): string {
    return hmacSha256(secrets.key('api-csrf'), sessionId);
  }

  /**
   * Refuses with `csrf_validation_failed` unless header and cookie are the same and belong to this
   * login.
   */
  function checkCsrf(ctx: Context, sessionId: string): void {
    const [header, cookie] = [ctx.get('X-CSRF-Token'), ctx.cookies.get(names.csrf, { signed: false }) ?? ''];
    const genuine = secrets.keys('api-csrf').some((key) => constantTimeEqual(hmacSha256(key, sessionId), header));
    if (!genuine || !constantTimeEqual(header, cookie)) {
      throw forbidden('csrf_validation_failed', 'Send the CSRF token of the cookie in the header X-CSRF-Token.');
    }
  }
}
