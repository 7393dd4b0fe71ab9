/**
 * Binds a federated login to the browser that started it, so that a stolen callback URL is useless
 * in another one. Grants no access by itself.
 */
import { SECOND_MS } from '../../base/clock.js';
import { randomToken } from '../../base/crypto.js';
import { PENDING_LOGIN_SECONDS } from '../../core/federation/pending-logins.js';
import type { Context } from '../http/context.js';
import { hostCookie } from './cookies.js';

export type FederationCookie = ReturnType<typeof createFederationCookie>;

export function createFederationCookie({ issuer }: { issuer: string }) {
  const { name, options } = hostCookie(issuer, 'signet_federation');

  return { read, issue };

  /** Returns the browser's key, if it has one. */
  function read(ctx: Context): string | undefined {
    return ctx.cookies.get(name, { signed: false });
  }

  /** Returns the browser's key, or creates it. Concurrent sign-ins of the browser share it. */
  function issue(ctx: Context): string {
    const known = read(ctx);
    const key = known && /^[\w-]{43}$/.test(known) ? known : randomToken();
    ctx.cookies.set(name, key, { ...options, maxAge: PENDING_LOGIN_SECONDS * SECOND_MS });
    return key;
  }
}

/** Returns the path of the callback URL, which is registered at the provider. */
export const callbackPath = (providerId: string) => `/login/with/${providerId}/callback`;
