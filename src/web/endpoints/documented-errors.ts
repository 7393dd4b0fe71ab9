/**
 * What the API says no with, by code: the status, and when. One table for the route lines and for
 * the OpenAPI document.
 */
import { z } from 'zod';

export const DOCUMENTED_ERRORS = {
  invalid_request: [400, 'The request is malformed; `fields` says what is wrong.'],
  no_auth: [401, 'No credential came along, and one is needed.'],
  expired_token: [401, 'The token was good, and has expired.'],
  invalid_token: [401, 'The token is unknown, malformed or revoked.'],
  invalid_credentials: [401, 'Wrong e-mail address or password, or a code that is not taken.'],
  mfa_required: [401, 'The second factor is missing: send `otp`.'],
  invalid_otp: [401, 'The code is wrong, or was used before.'],
  reauth_required: [401, 'The proof of the person is too old for this step.'],
  insufficient_role: [403, 'The role does not reach so far.'],
  insufficient_scope: [403, 'This kind of credential, or its scope, will not do here.'],
  project_scope_violation: [403, 'The key belongs to another project.'],
  csrf_validation_failed: [403, 'A change by cookie without its CSRF token, or from an origin that is not listed.'],
  account_suspended: [403, 'The account is suspended.'],
  signup_closed: [403, 'Nobody new can make an account here.'],
  not_found: [404, 'There is no such thing.'],
  conflict: [409, 'It is there already, or something else stands against it, as the sentence says.'],
  link_required: [409, 'The e-mail address belongs to an account here: sign in, then link.'],
  provider_sign_in_required: [409, 'What the provider gave is no longer good: sign in with it again.'],
  payload_too_large: [413, 'The body is too large.'],
  unsupported_media_type: [415, 'This content type is not supported.'],
  rate_limited: [429, 'Too many requests.'],
  auth_rate_limited: [429, 'Too many failed attempts.'],
  upstream_invalid_response: [502, 'The upstream provider answered nonsense.'],
  upstream_unavailable: [503, 'The upstream provider does not answer.'],
  temporarily_unavailable: [503, 'A store does not answer.'],
} as const satisfies Record<string, readonly [status: number, when: string]>;

/** Every no. See middleware/answer-failures. */
export const ErrorAnswer = z
  .object({
    error: z.string().describe('The code: what a program branches on.'),
    error_description: z.string().describe('A sentence for people.'),
    fields: z.record(z.string(), z.string()).optional().describe('What is wrong, by field.'),
    request_id: z.string().describe('Also in the header X-Request-Id, and in the log.'),
  })
  .meta({ id: 'Error' });

export type DocumentedErrorCode = keyof typeof DOCUMENTED_ERRORS;

/** Of whoever signs in by password, and by second factor where there is one. */
export const SIGN_IN_ERRORS = [
  'invalid_credentials',
  'account_suspended',
  'mfa_required',
  'invalid_otp',
  'auth_rate_limited',
] as const satisfies DocumentedErrorCode[];
