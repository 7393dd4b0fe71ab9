/** What a request carries to prove who sent it. A header alone decides; cookies count where there is none. */
import { unauthenticated } from '../../base/errors.js';
import type { Context } from '../state.js';

export interface Presented {
  value: string;
  /** By cookie, another site could have sent it: then a change needs its CSRF token. */
  by: 'header' | 'cookie';
}

const SCHEME = /^(?:Bearer|DPoP) +([\w.~+/-]+=*)$/i;

/** The credential of a request. Refuses with `invalid_token` what is none, and two that differ. */
export function presentedBy(ctx: Context, accessCookie: string): Presented | undefined {
  return fromHeaders(ctx) ?? fromCookie(ctx, accessCookie);
}

function fromHeaders(ctx: Context): Presented | undefined {
  const authorization = ctx.get('Authorization');
  const apiKey = ctx.get('X-API-Key');
  if (!authorization && !apiKey) return undefined;
  const bearer = SCHEME.exec(authorization)?.[1];
  if (authorization && !bearer) throw unauthenticated('invalid_token', 'Send "Authorization: Bearer <token>".');
  if (bearer && apiKey && bearer !== apiKey) {
    throw unauthenticated('invalid_token', 'Authorization and X-API-Key name two different credentials.');
  }
  return { value: bearer ?? apiKey, by: 'header' };
}

function fromCookie(ctx: Context, name: string): Presented | undefined {
  const value = ctx.cookies.get(name, { signed: false });
  return value ? { value, by: 'cookie' } : undefined;
}
