/**
 * A no, ready to be sent: status, code and sentence as Signet's own API has them, and the headers
 * that tell a client what to do.
 */

export interface AuthError {
  status: number;
  /** `no_auth`, `invalid_token`, `expired_token`, `insufficient_scope`, … */
  error: string;
  description: string;
  headers: Record<string, string>;
}

export function refusal(
  status: number,
  error: string,
  description: string,
  headers: Record<string, string> = {},
): AuthError {
  return { status, error, description, headers };
}

/** 401, with the challenge of RFC 6750, 3. */
export function unauthorized(error: string, description: string): AuthError {
  // Whoever sent nothing is not told that it was wrong.
  const wrong = error === 'no_auth' ? '' : ', error="invalid_token"';
  return refusal(401, error, description, { 'WWW-Authenticate': `Bearer realm="api"${wrong}` });
}

export function insufficientScope(scopes: readonly string[]): AuthError {
  const challenge = `Bearer realm="api", error="insufficient_scope", scope="${scopes.join(' ')}"`;
  return refusal(403, 'insufficient_scope', 'This credential does not reach so far.', {
    'WWW-Authenticate': challenge,
  });
}

export const bodyOf = ({ error, description }: AuthError) => ({ error, error_description: description });

export function refusalResponse(no: AuthError): Response {
  return Response.json(bodyOf(no), { status: no.status, headers: { ...no.headers, 'Cache-Control': 'no-store' } });
}

/**
 * Whether a credential is good cannot be known now: the issuer does not answer. Answer 503; it is
 * never a yes.
 */
export class IssuerUnavailable extends Error {
  override readonly name = 'IssuerUnavailable';
  readonly refusal = refusal(503, 'temporarily_unavailable', 'Credentials cannot be checked at the moment.', {
    'Retry-After': '2',
  });
}
