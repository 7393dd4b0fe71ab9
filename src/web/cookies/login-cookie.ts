/** The cookie of a browser session. It contains a token of core/sessions. */
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
  // oidc-provider has its own context for the same request; this lets both share one lookup.
  const known = new WeakMap<IncomingMessage, Promise<AuthenticatedSession | undefined>>();

  return { read, set, clear };

  /** Returns the active session of this browser. */
  function read(ctx: CookieContext): Promise<AuthenticatedSession | undefined> {
    let reading = known.get(ctx.req);
    if (!reading) {
      const token = ctx.cookies.get(name, { signed: false });
      reading = token ? sessions.findByToken(token) : Promise.resolve(undefined);
      known.set(ctx.req, reading);
    }
    return reading;
  }

  function set(ctx: CookieContext, { session, token }: Pick<NewBrowserSession, 'session' | 'token'>): void {
    ctx.cookies.set(name, token, { ...options, expires: session.expiresAt });
    known.delete(ctx.req);
  }

  function clear(ctx: CookieContext): void {
    ctx.cookies.set(name, null, options);
    known.set(ctx.req, Promise.resolve(undefined));
  }
}
