/**
 * What a request carries to prove who sent it. A header alone decides; cookies count where there is
 * none.
 */
import { unauthorized } from '../../base/app-error.js';
import type { PresentedProof } from '../../core/credentials/proof-of-possession.js';
import { hasSeveralAuthorizations } from '../http/authorization-header.js';
import type { Context } from '../http/context.js';

export interface PresentedCredential {
  value: string;
  /** By cookie, another site could have sent it: then a change needs its CSRF token. */
  by: 'header' | 'cookie';
  /** What came along with it. */
  presentation: PresentedProof;
}

const SCHEME = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i;
/** What a token may be made of (RFC 6750, 2.1), wherever it stands. */
const TOKEN = /^[\w.~+/-]+=*$/;

/** The credential of a request. Refuses with `invalid_token` what is none, and two that differ. */
export function extractCredential(ctx: Context, accessCookie: string): PresentedCredential | undefined {
  return fromHeaders(ctx) ?? fromCookie(ctx, accessCookie);
}

function fromHeaders(ctx: Context): PresentedCredential | undefined {
  const authorization = ctx.get('Authorization');
  const apiKey = ctx.get('X-API-Key');
  if (!authorization && !apiKey) return undefined;
  if (hasSeveralAuthorizations(ctx.req)) throw unauthorized('invalid_token', 'Send one Authorization header.');
  const [, scheme, token] = SCHEME.exec(authorization) ?? [];
  if (apiKey && !TOKEN.test(apiKey)) throw unauthorized('invalid_token', 'X-API-Key holds no key.');
  if (authorization && !token) throw unauthorized('invalid_token', 'Send "Authorization: Bearer <token>".');
  if (token && apiKey && token !== apiKey) {
    throw unauthorized('invalid_token', 'Authorization and X-API-Key name two different credentials.');
  }
  const presentation = { ...shownBy(ctx), ...(scheme && { scheme: scheme.toLowerCase() as 'bearer' | 'dpop' }) };
  return { value: token ?? apiKey, by: 'header', presentation };
}

function fromCookie(ctx: Context, name: string): PresentedCredential | undefined {
  const value = ctx.cookies.get(name, { signed: false });
  if (!value) return undefined;
  if (!TOKEN.test(value)) throw unauthorized('invalid_token', 'The access cookie holds no token.');
  return { value, by: 'cookie', presentation: shownBy(ctx) };
}

/**
 * A proof is for the address as its sender knows it, which is below the issuer: scheme and host are
 * pinned to it.
 */
function shownBy(ctx: Context): PresentedProof {
  const { method, protocol, host, path } = ctx;
  const { certificates } = ctx.state;
  return { proof: ctx.get('DPoP') || undefined, method, url: `${protocol}://${host}${path}`, certificates };
}
