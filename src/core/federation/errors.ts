/**
 * What goes wrong at a provider elsewhere, in our words: whose fault it is, and whether trying
 * again helps.
 */
import { z } from 'zod';
import { AppError, forbidden, unauthorized, upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import type { Provider } from './provider.js';

export type Client = typeof import('openid-client');

/** As providers call it that the person said no. */
const DENIED_CODES = new Set(['access_denied', 'user_cancelled_login', 'user_cancelled_authorize']);
/** As they call it that a code is unknown, old, used, or for another address or verifier. */
const CODE_REFUSED = new Set(['invalid_grant', 'bad_verification_code', 'invalid_request']);
/** As they call it that a refresh token is old, used, or taken back. */
const REFRESH_REFUSED = new Set(['invalid_grant', 'bad_refresh_token']);
const FAILING = new Set(['server_error', 'temporarily_unavailable', 'slow_down']);

/** Not now: asking again later may help. */
export const isFailure = (status: number) => status === 429 || status >= 500;

export const isRefreshRefused = (error: unknown) => REFRESH_REFUSED.has(providerErrorOf(error) ?? '');

/**
 * Throws what is a bug of ours.
 *
 * @param spendsCode whoever came brought a code, which may be what is wrong
 */
export function toAppError(error: unknown, { name }: Provider, client: Client, spendsCode: boolean): AppError {
  const said = providerErrorOf(error) ?? '';
  if (error instanceof client.AuthorizationResponseError) {
    if (DENIED_CODES.has(said)) return forbidden('access_denied', `You did not sign in with ${name}.`);
  } else if (spendsCode && CODE_REFUSED.has(said)) {
    return unauthorized(
      'invalid_credentials',
      `${name} does not take this code: it is wrong, was used, or has expired.`,
    );
  }
  const below = refusalIn(error);
  const fails = below ? below.code === 'upstream_unavailable' : FAILING.has(said) || isFailure(statusOf(error));
  if (fails) return upstreamUnavailable(`${name} does not answer at the moment. Please try again.`);
  if (isExpected(error, client)) return upstreamInvalid(`${name} answers what cannot be used.`);
  throw error;
}

/**
 * The error code that the provider gave: in its answer to the browser, or in that to us. GitHub
 * gives it with a status of 200.
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

/** What was thrown below the library, which wraps it. */
function refusalIn(error: unknown): AppError | undefined {
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
  // The library takes an address in an answer for one, and lets out what Node says of it.
  const isNoAddress = (error as { code?: unknown }).code === 'ERR_INVALID_URL';
  return isNoAddress || refusalIn(error) !== undefined || kinds.some((kind) => error instanceof kind);
}

/** The answer of a browser holds a state, and sometimes a code. */
export const isNetworkError = (error: unknown, client: Client) =>
  error instanceof client.AuthorizationResponseError ? error.message : error;
