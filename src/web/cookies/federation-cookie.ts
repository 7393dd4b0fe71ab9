/**
 * By what a browser is known that went to a provider elsewhere: only there does the answer open
 * anything. It signs nobody in.
 */
import { SECOND_MS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import { LOGIN_SECONDS } from '../../core/federation/login-state.js';
import type { Context } from '../http/context.js';
import { hostCookie } from './cookies.js';

export type FederationCookie = ReturnType<typeof createFederationCookie>;

export function createFederationCookie({ issuer }: { issuer: string }) {
  const { name, options } = hostCookie(issuer, 'signet_federation');

  return { read, issue };

  function read(ctx: Context): string | undefined {
    return ctx.cookies.get(name, { signed: false });
  }

  /**
   * The browser's key; a browser that has none gets one. Several sign-ins may be under way in it.
   */
  function issue(ctx: Context): string {
    const known = read(ctx);
    const key = known && /^[\w-]{43}$/.test(known) ? known : randomToken();
    ctx.cookies.set(name, key, { ...options, maxAge: LOGIN_SECONDS * SECOND_MS });
    return key;
  }
}

/** Where a provider sends people back to; to be registered there. */
export const callbackPath = (providerId: string) => `/login/with/${providerId}/callback`;
