/**
 * Errors of oidc-provider for exceeded limits. Their status is 429 in all cases: oidc-provider
 * replaces the description of every 5xx.
 */
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { ClientLimitError } from '../../../core/clients/unused-client-limits.js';

const TOO_MANY_REQUESTS = 429;

interface ExceededLimit {
  retryAfterSeconds?: number | undefined;
  description: string;
  cause: unknown;
}

/** Returns the error for the response, and sets its `Retry-After` header. */
export function exceededLimit(
  ctx: KoaContextWithOIDC | undefined,
  { retryAfterSeconds, description, cause }: ExceededLimit,
): Error {
  if (retryAfterSeconds !== undefined) ctx?.set('Retry-After', String(retryAfterSeconds));
  const error = new errors.OIDCProviderError(TOO_MANY_REQUESTS, 'temporarily_unavailable');
  return Object.assign(error, { error_description: description, cause });
}

/** Returns the error for the response to a `ClientLimitError`. Returns other errors unchanged. */
export function toLimitError(error: unknown, ctx: KoaContextWithOIDC | undefined): unknown {
  if (!(error instanceof ClientLimitError)) return error;
  const { retryAfterSeconds, message } = error;
  return exceededLimit(ctx, { retryAfterSeconds, description: message, cause: error });
}
