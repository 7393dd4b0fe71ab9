/** Sets the status of a form that is shown again with errors. */
import type { AppError } from '../../base/app-error.js';
import type { Context } from '../http/context.js';

/** Sets status and `Retry-After` from the error. */
export function setErrorStatus(ctx: Context, { status, retryAfterSeconds }: AppError): void {
  ctx.status = status;
  if (retryAfterSeconds !== undefined) ctx.set('Retry-After', String(retryAfterSeconds));
}
