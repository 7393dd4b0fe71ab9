/**
 * Expected errors: a code, an HTTP status and a message for the caller. Any other exception is a
 * bug.
 */

import { HOUR_SECONDS, MINUTE_SECONDS } from './clock.js';
import type { Limit } from './limits.js';

/** The state of a rate limit. */
export interface LimitState {
  name: string;
  /** Allowed events per window. */
  limit: number;
  remaining: number;
  /** Seconds until the window ends. */
  resetSeconds: number;
}

/** The reason why a proof of possession was rejected (RFC 9449, section 7.1). */
export type DpopError = 'invalid_token' | 'invalid_dpop_proof' | 'use_dpop_nonce';

export interface AppErrorOptions {
  /** Messages by field (400 `invalid_request`). */
  fields?: Record<string, string>;
  /** Seconds until a retry makes sense. Becomes `Retry-After`. */
  retryAfterSeconds?: number;
  /** The exceeded limit (429). */
  limit?: LimitState;
  /** The error and the nonce for a retry with a DPoP proof (401). */
  dpop?: { error: DpopError; nonce: string };
  /** Additional members of the JSON response. */
  members?: Record<string, unknown>;
  /** The scope that the token lacks (403 `insufficient_scope`). */
  scope?: string;
  cause?: unknown;
}

export class AppError extends Error {
  override readonly name = 'AppError';
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

/** Creates the error for an invalid request. `fields` has a message per field. */
export const invalidRequest = (message: string, fields?: Record<string, string>) =>
  new AppError(400, 'invalid_request', message, { fields });
/** Creates the error for missing or invalid credentials. */
export const unauthorized = (code: string, message: string) => new AppError(401, code, message);
/** Creates the error for a valid token whose proof of possession is missing or invalid. */
export const invalidProof = (message: string, dpop: AppErrorOptions['dpop']) =>
  new AppError(401, 'invalid_token', message, { dpop });
/** Creates the error for a caller without permission. */
export const forbidden = (code: string, message: string) => new AppError(403, code, message);
/** Creates the error for a token without a scope (RFC 6750, section 3.1). */
export const insufficientScope = (scope: string) =>
  new AppError(403, 'insufficient_scope', `The token lacks the scope ${scope}.`, { scope });
/** Creates the error for a resource that does not exist. */
export const notFound = (message = 'Not found.') => new AppError(404, 'not_found', message);
/** Creates the error for a conflict with stored data. */
export const conflict = (message: string, fields?: Record<string, string>) =>
  new AppError(409, 'conflict', message, { fields });
/** Creates the error for a request body that is too large. */
export const payloadTooLarge = (message: string) => new AppError(413, 'payload_too_large', message);
/** Creates the error for an exceeded rate limit. */
export function rateLimited(limit: LimitState, { code = 'rate_limited', events = 'requests' }: Partial<Limit> = {}) {
  const message = `Too many ${events}. Try again in ${describeWait(limit.resetSeconds)}.`;
  return new AppError(429, code, message, { retryAfterSeconds: limit.resetSeconds, limit });
}

/** Describes a wait, rounded up: "30 seconds", "15 minutes", "3 hours". */
function describeWait(seconds: number): string {
  const [amount, unit] =
    seconds < MINUTE_SECONDS
      ? [seconds, 'second']
      : seconds < 2 * HOUR_SECONDS
        ? [Math.ceil(seconds / MINUTE_SECONDS), 'minute']
        : [Math.ceil(seconds / HOUR_SECONDS), 'hour'];
  return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
}

/**
 * Names the bound that an error is about, for the log. The name is that of the setting, if the
 * bound is one.
 */
export const withBound = <Exceeded extends Error>(bound: string, error: Exceeded) => Object.assign(error, { bound });

/** Returns the bound that an error is about; undefined if none. */
export const boundOf = (error: unknown) => (error as { bound?: string }).bound;

/** The message with which the log names a bound. */
export const BOUND_EXCEEDED = 'a bound was exceeded';

/** Creates the error for an unavailable store. A retry can help. */
export const serviceUnavailable = (message: string, cause?: unknown) =>
  new AppError(503, 'temporarily_unavailable', message, { retryAfterSeconds: 5, cause });

/** Creates the error for an external provider that is unavailable or too slow. */
export const upstreamUnavailable = (message: string, cause?: unknown) =>
  new AppError(503, 'upstream_unavailable', message, { retryAfterSeconds: 5, cause });
/** Creates the error for an invalid response of an external provider. A retry does not help. */
export const upstreamInvalid = (message: string, cause?: unknown) =>
  new AppError(502, 'upstream_invalid_response', message, { cause });

/**
 * Reports whether the error means that a store is unavailable, by the codes of Prisma, of the
 * drivers and of `serviceUnavailable`. A retry can help.
 */
export function isStoreUnavailable(error: unknown): boolean {
  const { code, message, name } = error as { code?: unknown; message?: string; name?: string };
  if (typeof code === 'string' && OUTAGE_CODES.test(code)) return true;
  if (name === 'ReplyError') return REDIS_REJECTIONS.test(message ?? '');
  return name === 'MaxRetriesPerRequestError' || OUTAGE_MESSAGES.test(message ?? '');
}

const OUTAGE_CODES =
  /^(P1\d{3}|P2024|P2028|P2034|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|ENOTFOUND|temporarily_unavailable)$/;
/**
 * Replies of a Redis that rejects commands for now: out of memory, without a disk, loading, a
 * replica. Redis 6 writes the script and a hyphen before the error of a script.
 */
const REDIS_REJECTIONS = /(^|-)(OOM|MISCONF|READONLY|NOREPLICAS|LOADING|MASTERDOWN|CLUSTERDOWN|BUSY) /;
/** Messages of ioredis and pg for errors without a code. */
const OUTAGE_MESSAGES =
  /^(Command timed out|Connection is closed|Connection terminated|Query read timeout|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired)/;

/** Reports whether the error means that a unique value exists already. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'P2002';
}

/**
 * Reports whether the error means that a text contains NUL characters, which neither database can
 * store.
 */
export function isInvalidText(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  return code === '22021' || code === '22P05' || /NUL character|Code: `(22021|22P05)`/.test(message ?? '');
}
