/** Maps errors of external providers to `AppError`. */
import { z } from 'zod';
import { AppError, forbidden, unauthorized, upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import type { Provider } from './provider.js';

export type OpenIdClient = typeof import('openid-client');

/** Error codes for a user who denied the request. */
const DENIED_CODES = new Set(['access_denied', 'user_cancelled_login', 'user_cancelled_authorize']);
/** Error codes for an invalid authorization code. */
const INVALID_CODE_CODES = new Set(['invalid_grant', 'bad_verification_code', 'invalid_request']);
/** Error codes for an invalid refresh token. */
const INVALID_REFRESH_TOKEN_CODES = new Set(['invalid_grant', 'bad_refresh_token']);
/** Error codes after which a retry can succeed. */
const TEMPORARY_CODES = new Set(['server_error', 'temporarily_unavailable', 'slow_down']);

/** Reports whether a retry can succeed after a response with this HTTP status. */
export const isTemporaryStatus = (status: number) => status === 429 || status >= 500;

/** Reports whether the provider rejected a refresh token. */
export const isRefreshTokenRejected = (error: unknown) => INVALID_REFRESH_TOKEN_CODES.has(providerErrorOf(error) ?? '');

/**
 * Returns the `AppError` for a failed request to a provider. Throws the error itself if it is
 * unexpected, which is a bug.
 *
 * @param options.redeemsCode whether the request redeemed an authorization code, which can be
 *   invalid
 */
export function toAppError(
  error: unknown,
  { name }: Provider,
  client: OpenIdClient,
  { redeemsCode }: { redeemsCode: boolean },
): AppError {
  const code = providerErrorOf(error) ?? '';
  if (error instanceof client.AuthorizationResponseError) {
    if (DENIED_CODES.has(code)) return forbidden('access_denied', `The sign-in with ${name} was cancelled.`);
  } else if (redeemsCode && INVALID_CODE_CODES.has(code)) {
    return unauthorized('invalid_credentials', `${name} rejected this code: it is invalid, used or expired.`);
  }
  const wrapped = findAppError(error);
  const isTemporary = wrapped
    ? wrapped.code === 'upstream_unavailable'
    : TEMPORARY_CODES.has(code) || isTemporaryStatus(statusOf(error));
  if (isTemporary) return upstreamUnavailable(`${name} is not available at the moment. Try again.`);
  if (isExpected(error, client)) return upstreamInvalid(`${name} returned an invalid response.`);
  throw error;
}

/**
 * Returns the OAuth error code of the provider, from its authorization or token response. GitHub
 * returns it with status 200.
 */
export function providerErrorOf(error: unknown): string | undefined {
  const { error: ownCode, cause } = error as { error?: unknown; cause?: { cause?: { body?: { error?: unknown } } } };
  const code = ownCode ?? cause?.cause?.body?.error;
  return typeof code === 'string' ? code : undefined;
}

/** Returns the HTTP status of the provider's response, or 0 if the error has none. */
function statusOf(error: unknown): number {
  const { status: ownStatus, cause } = error as { status?: unknown; cause?: { status?: unknown } };
  const status = cause?.status ?? ownStatus;
  return typeof status === 'number' ? status : 0;
}

/** Finds an `AppError` of our HTTP client that the library has wrapped. */
function findAppError(error: unknown): AppError | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    if (current instanceof AppError) return current;
  }
  return undefined;
}

function isExpected(error: unknown, client: OpenIdClient): boolean {
  const expectedClasses = [
    client.ClientError,
    client.ResponseBodyError,
    client.AuthorizationResponseError,
    client.WWWAuthenticateChallengeError,
    z.ZodError,
  ];
  // The library does not handle an invalid URL in a response.
  const isInvalidUrl = (error as { code?: unknown }).code === 'ERR_INVALID_URL';
  return isInvalidUrl || findAppError(error) !== undefined || expectedClasses.some((type) => error instanceof type);
}

/**
 * Returns the part of an error that can be logged: an authorization response has state and code.
 */
export const toLoggableError = (error: unknown, client: OpenIdClient) =>
  error instanceof client.AuthorizationResponseError ? error.message : error;
