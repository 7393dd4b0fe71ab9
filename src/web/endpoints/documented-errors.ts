/** The error codes of the API with their status and description, for the OpenAPI document. */
import { z } from 'zod';

export const DOCUMENTED_ERRORS = {
  invalid_request: [400, 'The request is invalid. `fields` has an error for each invalid field.'],
  no_auth: [401, 'The request requires a credential.'],
  expired_token: [401, 'The token has expired.'],
  invalid_token: [401, 'The token is unknown, malformed or revoked.'],
  invalid_credentials: [401, 'The e-mail address, password or authorization code is wrong.'],
  mfa_required: [401, 'A second factor is required: send `otp`.'],
  invalid_otp: [401, 'The code is wrong or was already used.'],
  reauth_required: [401, 'Recent authentication is required.'],
  insufficient_role: [403, 'The role does not allow this.'],
  insufficient_scope: [403, 'The type or scope of the credential does not allow this.'],
  project_scope_violation: [403, 'The key is limited to another organization or project.'],
  csrf_validation_failed: [403, 'The CSRF token is missing, or the origin is not allowed.'],
  account_suspended: [403, 'The account is suspended.'],
  signup_closed: [403, 'Sign-up is disabled.'],
  not_found: [404, 'The resource does not exist.'],
  conflict: [409, 'The resource already exists, or its state does not allow this.'],
  link_required: [409, 'The e-mail address belongs to an existing account: sign in, then link the provider.'],
  provider_sign_in_required: [409, "The provider's token is no longer valid: sign in with the provider again."],
  payload_too_large: [413, 'The body is too large.'],
  unsupported_media_type: [415, 'This content type is not supported.'],
  rate_limited: [429, 'Too many requests.'],
  auth_rate_limited: [429, 'Too many failed attempts.'],
  upstream_invalid_response: [502, 'The upstream provider sent an invalid response.'],
  upstream_unavailable: [503, 'The upstream provider does not respond.'],
  temporarily_unavailable: [503, 'A database is unavailable.'],
} as const satisfies Record<string, readonly [status: number, description: string]>;

/** The body of every error response: see http/error-response.ts. */
export const ErrorBody = z
  .object({
    error: z.string().describe('The error code, for programs.'),
    error_description: z.string().describe('A description for people.'),
    fields: z.record(z.string(), z.string()).optional().describe('Errors by field.'),
    request_id: z.string().describe('The same as the header `X-Request-Id`, for support.'),
  })
  .meta({ id: 'Error' });

export type DocumentedErrorCode = keyof typeof DOCUMENTED_ERRORS;

/** Errors of a sign-in with a password and a second factor. */
export const SIGN_IN_ERRORS = [
  'invalid_credentials',
  'account_suspended',
  'mfa_required',
  'invalid_otp',
  'auth_rate_limited',
] as const satisfies DocumentedErrorCode[];
