/**
 * Signs and verifies the sessions of a service's own users: JWTs with a secret of the service
 * (HS256). Synchronous on every runtime.
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

/** The header of every session. A token with another header is rejected. */
const HEADER = toBase64url(utf8('{"alg":"HS256","typ":"JWT"}'));

/**
 * Signs a session that is valid for `maxAge` from now. The secret should be 32 random bytes. Throws
 * a TypeError if it is empty, if there is no `userId`, or if `maxAge` is not a duration.
 */
export function signSession(payload: Omit<SessionPayload, 'iat' | 'exp'>, secret: string, maxAge = '7d'): string {
  if (!secret) throw new TypeError('The session secret is empty');
  if (!payload.userId) throw new TypeError('A session needs a userId');
  const iat = Math.floor(Date.now() / 1000);
  const claims = { ...payload, iat, exp: iat + parseDurationOrThrow('maxAge', maxAge) };
  const signed = `${HEADER}.${toBase64url(utf8(JSON.stringify(claims)))}`;
  return `${signed}.${hmacSha256(secret, signed)}`;
}

/**
 * Returns the session, or null if the token is malformed, has an invalid signature or has expired.
 * Never throws. A session cannot be revoked, unless you store a list of revoked sessions.
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
  const hasValidOptionals = [email, role].every((value) => value === undefined || typeof value === 'string');
  return (
    typeof userId === 'string' && userId !== '' && hasValidOptionals && Number.isFinite(iat) && Number.isFinite(exp)
  );
}
