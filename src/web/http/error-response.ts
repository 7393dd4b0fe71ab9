/**
 * How a no, or a bug, is told to programs: its status, its headers and its body, whichever way the
 * request went.
 */
import { AppError, isInvalidText, isStoreUnavailable, serviceUnavailable } from '../../base/app-error.js';
import type { Log } from '../../base/log.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';
import { isApiPath } from './api-paths.js';
import { limitHeaders } from './rate-limit-headers.js';

export interface FailureAnswer {
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

const CHALLENGE_ERRORS: Record<string, string> = {
  invalid_token: 'invalid_token',
  expired_token: 'invalid_token',
  insufficient_scope: 'insufficient_scope',
  reauth_required: 'insufficient_user_authentication',
};
const BUG = new AppError(500, 'server_error', 'Something went wrong on our side.');

export type ErrorResponses = ReturnType<typeof createErrorResponses>;

export function createErrorResponses({ issuer, log }: { issuer: string; log: Log }) {
  const metadata = `resource_metadata="${issuer}/.well-known/oauth-protected-resource/api/v1"`;

  return { toAppError, responseFor };

  /** What was thrown, as a refusal. A bug is logged, and told to nobody. */
  function toAppError(error: unknown, requestId: string): AppError {
    if (error instanceof AppError) {
      if (error.status >= 500) log.error({ error, requestId }, 'unavailable');
      return error;
    }
    const { status, expose } = error as { status?: number; expose?: boolean };
    if (status && expose && status < 500) return fromHttpError(status);
    if (isInvalidText(error)) return fromHttpError(400);
    log.error({ error, requestId }, 'failed');
    return isStoreUnavailable(error) ? serviceUnavailable('Please try again in a moment.') : BUG;
  }

  /** What goes with its status. */
  function responseFor(refusal: AppError, path: string, requestId: string): FailureAnswer {
    const { status, code, message, fields, retryAfterSeconds, limit, dpop, scope, members } = refusal;
    const canDoBetter = status === 401 || scope !== undefined;
    return {
      headers: {
        'Cache-Control': 'no-store',
        ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
        ...(limit && limitHeaders(limit)),
        ...(canDoBetter && isApiPath(path) && { 'WWW-Authenticate': challenge(refusal) }),
        ...(dpop && { 'DPoP-Nonce': dpop.nonce }),
      },
      body: { ...members, error: code, error_description: message, ...(fields && { fields }), request_id: requestId },
    };
  }

  /**
   * How to come in (RFC 6750, 3; RFC 9449, 7.1; RFC 9728, 5.1; RFC 9470, 3). Whoever sent nothing
   * is told of no error.
   */
  function challenge({ code, dpop, scope }: AppError): string {
    const error = dpop?.error ?? CHALLENGE_ERRORS[code];
    if (dpop) return `DPoP error="${error}", algs="${DPOP_ALGORITHMS.join(' ')}", ${metadata}`;
    const parameters = [error && `error="${error}"`, scope && `scope="${scope}"`, metadata];
    return `Bearer ${parameters.filter(Boolean).join(', ')}`;
  }
}

/** What libraries throw for a request that is wrong by itself. */
export function fromHttpError(given: number): AppError {
  const status = given === 501 ? 405 : given; // a method that nobody knows is one that this address does not know
  const codes: Record<number, [string, string]> = {
    404: ['not_found', 'There is nothing here.'],
    405: ['method_not_allowed', 'This address does not know that method.'],
    413: ['payload_too_large', 'The body is too large.'],
    415: ['unsupported_media_type', 'The body has a type that is not accepted here.'],
  };
  const [code, message] = codes[status] ?? ['invalid_request', 'The request is malformed.'];
  return new AppError(status, code, message);
}
