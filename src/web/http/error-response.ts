/** Formats errors for programs: headers and body, for Koa and for the direct routes. */
import {
  AppError,
  BOUND_EXCEEDED,
  boundOf,
  isInvalidText,
  isStoreUnavailable,
  serviceUnavailable,
} from '../../base/app-error.js';
import type { Log } from '../../base/log.js';
import { DPOP_ALGORITHMS } from '../../kit/dpop.js';
import { isApiPath } from './api-paths.js';
import { limitHeaders } from './rate-limit-headers.js';

export interface ErrorResponse {
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

/** The `error` parameter of the challenge, by the error code of the response. */
const CHALLENGE_ERRORS: Record<string, string> = {
  invalid_token: 'invalid_token',
  expired_token: 'invalid_token',
  insufficient_scope: 'insufficient_scope',
  reauth_required: 'insufficient_user_authentication',
};
const SERVER_ERROR = new AppError(500, 'server_error', 'Something went wrong. Try again later.');

export type ErrorResponses = ReturnType<typeof createErrorResponses>;

export function createErrorResponses({ issuer, log }: { issuer: string; log: Log }) {
  const resourceMetadata = `resource_metadata="${issuer}/.well-known/oauth-protected-resource/api/v1"`;

  return { toAppError, responseFor };

  /** Converts anything thrown into an `AppError`. Logs bugs; their details are never sent. */
  function toAppError(error: unknown, requestId: string): AppError {
    if (error instanceof AppError) {
      const bound = boundOf(error);
      if (bound) log.info({ bound, requestId }, BOUND_EXCEEDED);
      else if (error.status >= 500) log.error({ error, requestId }, 'a dependency is unavailable');
      if (error.limit) log.info({ limit: error.limit.name, requestId }, 'a rate limit was exceeded');
      return error;
    }
    const { status, expose } = error as { status?: number; expose?: boolean };
    if (status && expose && status < 500) return fromHttpError(status);
    if (isInvalidText(error)) return fromHttpError(400);
    log.error({ error, requestId }, 'the request failed');
    return isStoreUnavailable(error) ? serviceUnavailable('Try again in a moment.') : SERVER_ERROR;
  }

  /** Returns headers and body for an error. */
  function responseFor(error: AppError, path: string, requestId: string): ErrorResponse {
    const { status, code, message, fields, retryAfterSeconds, limit, dpop, scope, members } = error;
    const needsChallenge = status === 401 || scope !== undefined;
    return {
      headers: {
        'Cache-Control': 'no-store',
        ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
        ...(limit && limitHeaders(limit)),
        ...(needsChallenge && isApiPath(path) && { 'WWW-Authenticate': challenge(error) }),
        ...(dpop && { 'DPoP-Nonce': dpop.nonce }),
      },
      body: { ...members, error: code, error_description: message, ...(fields && { fields }), request_id: requestId },
    };
  }

  /**
   * Returns the `WWW-Authenticate` challenge (RFC 6750, 3; RFC 9449, 7.1; RFC 9728, 5.1; RFC 9470,
   * 3). Names no error if the request had no credential.
   */
  function challenge({ code, dpop, scope }: AppError): string {
    const error = dpop?.error ?? CHALLENGE_ERRORS[code];
    if (dpop) return `DPoP error="${error}", algs="${DPOP_ALGORITHMS.join(' ')}", ${resourceMetadata}`;
    const parameters = [error && `error="${error}"`, scope && `scope="${scope}"`, resourceMetadata];
    return `Bearer ${parameters.filter(Boolean).join(', ')}`;
  }
}

/** Returns the error for a status that Koa, its router or another library has chosen. */
export function fromHttpError(libraryStatus: number): AppError {
  const status = libraryStatus === 501 ? 405 : libraryStatus;
  const codes: Record<number, [string, string]> = {
    404: ['not_found', 'Page not found'],
    405: ['method_not_allowed', 'This URL does not support that method.'],
    413: ['payload_too_large', 'The body is too large.'],
    415: ['unsupported_media_type', 'This content type is not supported.'],
  };
  const [code, message] = codes[status] ?? ['invalid_request', 'The request is malformed.'];
  return new AppError(status, code, message);
}
