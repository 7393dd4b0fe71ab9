/**
 * Expected errors that a service returns: the status, code and description that Signet's own API
 * uses, and headers such as `WWW-Authenticate`.
 */

export interface AuthError {
  status: number;
  /** `no_auth`, `invalid_token`, `expired_token`, `insufficient_scope`, … */
  error: string;
  description: string;
  headers: Record<string, string>;
}

/** Creates an error. */
export function authError(
  status: number,
  error: string,
  description: string,
  headers: Record<string, string> = {},
): AuthError {
  return { status, error, description, headers };
}

/** Returns a 401 with a Bearer challenge (RFC 6750, 3). */
export function unauthorized(error: string, description: string): AuthError {
  // A request without a credential gets no error code in the challenge (RFC 6750, 3.1).
  const code = error === 'no_auth' ? '' : ', error="invalid_token"';
  return authError(401, error, description, { 'WWW-Authenticate': `Bearer realm="api"${code}` });
}

/** Returns a 403 that names the scopes that are required (RFC 6750, 3.1). */
export function insufficientScope(scopes: readonly string[]): AuthError {
  const challenge = `Bearer realm="api", error="insufficient_scope", scope="${scopes.join(' ')}"`;
  return authError(403, 'insufficient_scope', 'This credential does not have the required scope.', {
    'WWW-Authenticate': challenge,
  });
}

/** Returns the JSON body of the response for an error. */
export const bodyOf = ({ error, description }: AuthError) => ({ error, error_description: description });

/** Returns the error as a JSON response that is not cached. */
export function errorResponse(error: AuthError): Response {
  const headers = { ...error.headers, 'Cache-Control': 'no-store' };
  return Response.json(bodyOf(error), { status: error.status, headers });
}

/**
 * Thrown when a credential can be neither accepted nor rejected, because the issuer does not
 * respond. Send `authError`, a 503.
 */
export class IssuerUnavailable extends Error {
  override readonly name = 'IssuerUnavailable';
  readonly authError = authError(503, 'temporarily_unavailable', 'Credentials cannot be verified at the moment.', {
    'Retry-After': '2',
  });
}
