/** Maps errors of external providers to `AppError`. */
import { z } from 'zod';
import { AppError, forbidden, unauthorized, upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import type { Provider } from './provider.js';

export type Client = typeof import('openid-client');

/** Error codes for a user who denied the request. */
const DENIED_CODES = new Set(['access_denied', 'user_cancelled_login', 'user_cancelled_authorize']);
/** Error codes for an invalid authorization code. */
const CODE_REFUSED = new Set(['invalid_grant', 'bad_verification_code', 'invalid_request']);
/** Error codes for an invalid refresh token. */
const REFRESH_REFUSED = new Set(['invalid_grant', 'bad_refresh_token']);
const FAILING = new Set(['server_error', 'temporarily_unavailable', 'slow_down']);

/** Reports whether a later retry can succeed. */
export const isFailure = (status: number) => status === 429 || status >= 500;

/** Reports whether the provider rejected a refresh token. */
export const isRefreshRefused = (error: unknown) => REFRESH_REFUSED.has(providerErrorOf(error) ?? '');

/**
 * Returns the `AppError` for a failed request to a provider. Throws unexpected errors, which are
 * bugs.
 *
 * @param consumesCode whether the request exchanged a code, which may be invalid
 */
export function toAppError(error: unknown, { name }: Provider, client: Client, consumesCode: boolean): AppError {
  const code = providerErrorOf(error) ?? '';
  if (error instanceof client.AuthorizationResponseError) {
    if (DENIED_CODES.has(code)) return forbidden('access_denied', `The sign-in with ${name} was cancelled.`);
  } else if (consumesCode && CODE_REFUSED.has(code)) {
    return unauthorized('invalid_credentials', `${name} rejected this code: it is invalid, used or expired.`);
  }
  const below = appErrorIn(error);
  const fails = below ? below.code === 'upstream_unavailable' : FAILING.has(code) || isFailure(statusOf(error));
  if (fails) return upstreamUnavailable(`${name} is not available at the moment. Try again.`);
  if (isExpected(error, client)) return upstreamInvalid(`${name} returned an invalid response.`);
  throw error;
}

/**
 * Returns the OAuth error code of the provider, from its authorization or token response. GitHub
 * returns it with status 200.
 */
export function providerErrorOf(error: unknown): string | undefined {
  const { error: given, cause } = error as { error?: unknown; cause?: { cause?: { body?: { error?: unknown } } } };
  const code = given ?? cause?.cause?.body?.error;
  return typeof code === 'string' ? code : undefined;
}

function statusOf(error: unknown): number {
  const { status, cause } = error as { status?: unknown; cause?: { status?: unknown } };
  const given = cause?.status ?? status;
  return typeof given === 'number' ? given : 0;
}

/** Finds an `AppError` that the library has wrapped. */
function appErrorIn(error: unknown): AppError | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof AppError) return one;
  return undefined;
}

function isExpected(error: unknown, client: Client): boolean {
  const kinds = [
    client.ClientError,
    client.ResponseBodyError,
    client.AuthorizationResponseError,
    client.WWWAuthenticateChallengeError,
    z.ZodError,
  ];
  // The library does not catch the error of an invalid URL in a response.
  const isNoAddress = (error as { code?: unknown }).code === 'ERR_INVALID_URL';
  return isNoAddress || appErrorIn(error) !== undefined || kinds.some((kind) => error instanceof kind);
}

/** Returns what can be logged of an error: an authorization response contains state and code. */
export const loggableError = (error: unknown, client: Client) =>
  error instanceof client.AuthorizationResponseError ? error.message : error;
