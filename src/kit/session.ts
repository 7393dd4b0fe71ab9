/**
 * Sessions of a service's own people: JWTs signed with a secret of the service (HS256), synchronous
 * on every runtime.
 */
import { constantTimeEqual, hmacSha256, isCompactJws, jsonObject, toBase64url, utf8 } from './bytes.js';
import { parseDurationOrThrow } from './duration.js';

export interface SessionPayload {
  userId: string;
  email?: string;
  role?: string;
  /** Issued at and expires at, Unix timestamps in seconds, set by `signSession`. */
  iat: number;
  exp: number;
}

/**
 * Every token that is made here begins with this; another algorithm, or none, is never looked at.
 */
const HEADER = toBase64url(utf8('{"alg":"HS256","typ":"JWT"}'));

/**
 * Signs a session from now on for `maxAge`. The secret should have 32 random bytes; an empty one is
 * refused with a TypeError, as is what is no duration.
 */
export function signSession(payload: Omit<SessionPayload, 'iat' | 'exp'>, secret: string, maxAge = '7d'): string {
  if (!secret) throw new TypeError('A session needs a secret to be signed with, and it is empty');
  if (!payload.userId) throw new TypeError('A session needs a userId');
  const iat = Math.floor(Date.now() / 1000);
  const claims = { ...payload, iat, exp: iat + parseDurationOrThrow('maxAge', maxAge) };
  const signed = `${HEADER}.${toBase64url(utf8(JSON.stringify(claims)))}`;
  return `${signed}.${hmacSha256(secret, signed)}`;
}

/**
 * The session, or null when it is not one, has another signature, or has expired. Never throws. It
 * asks no store: a session that was signed is good until it expires, unless you keep a list of
 * those that are not.
 */
export function verifySession(token: string, secret: string): SessionPayload | null {
  if (typeof token !== 'string' || !secret || !isCompactJws(token)) return null;
  const [header, payload, signature] = token.split('.') as [string, string, string];
  if (header !== HEADER || !constantTimeEqual(signature, hmacSha256(secret, `${header}.${payload}`))) return null;
  const claims = jsonObject(payload);
  return claims && isSession(claims) && claims.exp > Date.now() / 1000 ? claims : null;
}

function isSession(claims: object): claims is SessionPayload {
  const { userId, email, role, iat, exp } = claims as Record<keyof SessionPayload, unknown>;
  const optional = [email, role].every((value) => value === undefined || typeof value === 'string');
  return typeof userId === 'string' && userId !== '' && optional && Number.isFinite(iat) && Number.isFinite(exp);
}
