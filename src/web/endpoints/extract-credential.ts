/** Extracts the credential of a request. Headers take precedence over cookies. */
import { unauthorized } from '../../base/app-error.js';
import type { PresentedProof } from '../../core/credentials/proof-of-possession.js';
import { hasSeveralAuthorizationHeaders } from '../http/authorization-header.js';
import type { Context } from '../http/context.js';

export interface PresentedCredential {
  value: string;
  /** Another site can cause a request with a cookie, so changes by cookie need a CSRF check. */
  source: 'header' | 'cookie';
  /** The proof of possession: a DPoP proof, a client certificate. */
  presentation: PresentedProof;
}

const AUTHORIZATION = /^(Bearer|DPoP) +([\w.~+/-]+=*)$/i;
/** The syntax of a token (RFC 6750, 2.1). */
const TOKEN_SYNTAX = /^[\w.~+/-]+=*$/;

/**
 * Returns the credential of the request, if it has one. Throws `invalid_token` if it is malformed
 * or if two credentials differ.
 */
export function extractCredential(ctx: Context, accessCookie: string): PresentedCredential | undefined {
  return fromHeaders(ctx) ?? fromCookie(ctx, accessCookie);
}

function fromHeaders(ctx: Context): PresentedCredential | undefined {
  const authorization = ctx.get('Authorization');
  const apiKey = ctx.get('X-API-Key');
  if (!authorization && !apiKey) return undefined;
  if (hasSeveralAuthorizationHeaders(ctx.req)) throw unauthorized('invalid_token', 'Send one Authorization header.');
  const [, scheme, token] = AUTHORIZATION.exec(authorization) ?? [];
  if (apiKey && !TOKEN_SYNTAX.test(apiKey))
    throw unauthorized('invalid_token', 'X-API-Key does not contain a valid key.');
  if (authorization && !token) throw unauthorized('invalid_token', 'Send "Authorization: Bearer <token>".');
  if (token && apiKey && token !== apiKey) {
    throw unauthorized('invalid_token', 'Authorization and X-API-Key contain different credentials.');
  }
  const presentation = { ...proofOf(ctx), ...(scheme && { scheme: scheme.toLowerCase() as 'bearer' | 'dpop' }) };
  return { value: token ?? apiKey, source: 'header', presentation };
}

function fromCookie(ctx: Context, name: string): PresentedCredential | undefined {
  const value = ctx.cookies.get(name, { signed: false });
  if (!value) return undefined;
  if (!TOKEN_SYNTAX.test(value)) throw unauthorized('invalid_token', 'The access cookie does not contain a token.');
  return { value, source: 'cookie', presentation: proofOf(ctx) };
}

/**
 * Returns the proof of possession and the request that it must match. A DPoP proof names the public
 * URL: the pipeline has replaced scheme and host with the issuer's.
 */
function proofOf(ctx: Context): PresentedProof {
  const { method, protocol, host, path } = ctx;
  const { certificates } = ctx.state;
  return { proof: ctx.get('DPoP') || undefined, method, url: `${protocol}://${host}${path}`, certificates };
}
