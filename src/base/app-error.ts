/**
 * The expected no: a refusal has a name, a status and one sentence for whoever asked. Anything else
 * that is thrown is a bug.
 */

/** How far a limit is spent. */
export interface LimitState {
  /** Events in a window. */
  limit: number;
  remaining: number;
  /** Until the window ends. */
  resetSeconds: number;
}

/** What was wrong with a proof of possession (RFC 9449, 7.1). */
export type DpopError = 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce';

export interface AppErrorOptions {
  /** What is wrong, by field (400 `invalid_request`). */
  fields?: Record<string, string>;
  /** Seconds until asking again makes sense; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  /** The limit that was spent (429). */
  limit?: LimitState;
  /** How to ask again with a DPoP proof (401). */
  dpop?: { error: DpopError; nonce: string };
  /** What else the answer says. */
  members?: Record<string, unknown>;
  /** What an app would have to be given first (403 `insufficient_scope`). */
  scope?: string;
  cause?: unknown;
}

export class AppError extends Error {
  override readonly name = 'Refusal';
  readonly fields: Record<string, string> | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly limit: LimitState | undefined;
  readonly dpop: AppErrorOptions['dpop'];
  readonly members: Record<string, unknown> | undefined;
  readonly scope: string | undefined;

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    { fields, retryAfterSeconds, limit, dpop, scope, members, cause }: AppErrorOptions = {},
  ) {
    super(message, { cause });
    this.fields = fields;
    this.retryAfterSeconds = retryAfterSeconds;
    this.limit = limit;
    this.dpop = dpop;
    this.members = members;
    this.scope = scope;
  }
}

export const invalidRequest = (message: string, fields?: Record<string, string>) =>
  new AppError(400, 'invalid_request', message, { fields });
export const unauthorized = (code: string, message: string) => new AppError(401, code, message);
/** The token was good, and whoever sent it has not proven that it is theirs. */
export const invalidProof = (message: string, dpop: AppErrorOptions['dpop']) =>
  new AppError(401, 'invalid_token', message, { dpop });
export const forbidden = (code: string, message: string) => new AppError(403, code, message);
export const insufficientScope = (scope: string) =>
  new AppError(403, 'insufficient_scope', `The token lacks the scope ${scope}.`, { scope });
export const notFound = (message = 'There is nothing here.') => new AppError(404, 'not_found', message);
export const conflict = (message: string, fields?: Record<string, string>) =>
  new AppError(409, 'conflict', message, { fields });
export const payloadTooLarge = (message: string) => new AppError(413, 'payload_too_large', message);
export const rateLimited = (limit: LimitState, code = 'rate_limited') =>
  new AppError(429, code, 'Too many requests. Please wait and try again.', {
    retryAfterSeconds: limit.resetSeconds,
    limit,
  });
export const serviceUnavailable = (message: string, cause?: unknown) =>
  new AppError(503, 'temporarily_unavailable', message, { retryAfterSeconds: 5, cause });

/** Another provider is down, or too slow. */
export const upstreamUnavailable = (message: string, cause?: unknown) =>
  new AppError(503, 'upstream_unavailable', message, { retryAfterSeconds: 5, cause });
/** Another provider answers what it should not: asking again does not help. */
export const upstreamInvalid = (message: string, cause?: unknown) =>
  new AppError(502, 'upstream_invalid_response', message, { cause });

/**
 * Whether it says that a store does not answer, by the codes of Prisma and of the drivers: then
 * asking later may help.
 */
export function isStoreUnavailable(error: unknown): boolean {
  const { code, message, name } = error as { code?: unknown; message?: string; name?: string };
  if (typeof code === 'string' && OUTAGE_CODES.test(code)) return true;
  return name === 'MaxRetriesPerRequestError' || OUTAGE_MESSAGES.test(message ?? '');
}

const OUTAGE_CODES = /^(P1\d{3}|P2024|P2028|P2034|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND)$/;
/** What ioredis and pg say without a code. */
const OUTAGE_MESSAGES =
  /^(Command timed out|Connection is closed|Connection terminated|Query read timeout|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired)/;

/** Whether it says that a row with this unique value is there already. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'P2002';
}

/**
 * Whether it says that a text cannot be stored for its NUL characters, as both databases and the
 * engine before them put it.
 */
export function isInvalidText(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  return code === '22021' || code === '22P05' || /NUL character|Code: `(22021|22P05)`/.test(message ?? '');
}
