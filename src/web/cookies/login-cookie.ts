/** The session cookie of the pages. It contains a session token (core/sessions). */
import type { IncomingMessage } from 'node:http';
import type { AuthenticatedSession, Sessions } from '../../core/sessions/sessions.js';
import type { NewBrowserSession } from '../../core/sign-in/session-issuance.js';
import { hostCookie } from './cookies.js';

interface CookieContext {
  req: IncomingMessage;
  cookies: {
    get(name: string, options?: object): string | undefined;
    set(name: string, value: string | null, options?: object): unknown;
  };
}

export type LoginCookie = ReturnType<typeof createLoginCookie>;

export function createLoginCookie({ issuer, sessions }: { issuer: string; sessions: Sessions }) {
  const { name, options } = hostCookie(issuer, 'signet_login');
  // oidc-provider has a context of its own for the same request. Both share one lookup.
  const lookups = new WeakMap<IncomingMessage, Promise<AuthenticatedSession | undefined>>();

  return { read, set, clear };

  /** Returns the active session of this browser. */
  function read(ctx: CookieContext): Promise<AuthenticatedSession | undefined> {
    let lookup = lookups.get(ctx.req);
    if (!lookup) {
      const token = ctx.cookies.get(name, { signed: false });
      lookup = token ? sessions.findByToken(token) : Promise.resolve(undefined);
      lookups.set(ctx.req, lookup);
    }
    return lookup;
  }

  /** Sets the cookie of a new session. */
  function set(ctx: CookieContext, { session, token }: Pick<NewBrowserSession, 'session' | 'token'>): void {
    ctx.cookies.set(name, token, { ...options, expires: session.expiresAt });
    lookups.delete(ctx.req);
  }

  /** Removes the cookie. Does not revoke the session. */
  function clear(ctx: CookieContext): void {
    ctx.cookies.set(name, null, options);
    lookups.set(ctx.req, Promise.resolve(undefined));
  }
}
