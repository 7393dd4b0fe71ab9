/** Extracts the credential of a request. Headers take precedence over cookies. */
import { unauthorized } from '../../base/app-error.js';
import type { PresentedProof } from '../../core/credentials/proof-of-possession.js';
import { hasSeveralAuthorizations } from '../http/authorization-header.js';
import type { Context } from '../http/context.js';

export interface PresentedCredential {
  value: string;
  /** A cookie can be sent by another site, so changes then need a CSRF token. */
  by: 'header' | 'cookie';
  /** Proofs of possession: DPoP, client certificate. */
  presentation: PresentedProof;
}

const SCHEME = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i;
/** Syntax of a token (RFC 6750, 2.1). */
const TOKEN = /^[\w.~+/-]+=*$/;

/**
 * Returns the credential. Throws `invalid_token` if it is malformed or if two credentials differ.
 */
export function extractCredential(ctx: Context, accessCookie: string): PresentedCredential | undefined {
  return fromHeaders(ctx) ?? fromCookie(ctx, accessCookie);
}

function fromHeaders(ctx: Context): PresentedCredential | undefined {
  const authorization = ctx.get('Authorization');
  const apiKey = ctx.get('X-API-Key');
  if (!authorization && !apiKey) return undefined;
  if (hasSeveralAuthorizations(ctx.req)) throw unauthorized('invalid_token', 'Send one Authorization header.');
  const [, scheme, token] = SCHEME.exec(authorization) ?? [];
  if (apiKey && !TOKEN.test(apiKey)) throw unauthorized('invalid_token', 'X-API-Key does not contain a valid key.');
  if (authorization && !token) throw unauthorized('invalid_token', 'Send "Authorization: Bearer <token>".');
  if (token && apiKey && token !== apiKey) {
    throw unauthorized('invalid_token', 'Authorization and X-API-Key contain different credentials.');
  }
  const presentation = { ...shownBy(ctx), ...(scheme && { scheme: scheme.toLowerCase() as 'bearer' | 'dpop' }) };
  return { value: token ?? apiKey, by: 'header', presentation };
}

function fromCookie(ctx: Context, name: string): PresentedCredential | undefined {
  const value = ctx.cookies.get(name, { signed: false });
  if (!value) return undefined;
  if (!TOKEN.test(value)) throw unauthorized('invalid_token', 'The access cookie does not contain a token.');
  return { value, by: 'cookie', presentation: shownBy(ctx) };
}

/**
 * The URL of a DPoP proof is the public one: the pipeline has set scheme and host to the issuer's.
 */
function shownBy(ctx: Context): PresentedProof {
  const { method, protocol, host, path } = ctx;
  const { certificates } = ctx.state;
  return { proof: ctx.get('DPoP') || undefined, method, url: `${protocol}://${host}${path}`, certificates };
}
