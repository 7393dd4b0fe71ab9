/** The status of a form that is shown again, with what is wrong beside it. */
import type { AppError } from '../../base/app-error.js';
import type { Context } from '../http/context.js';

export function renderFormErrors(ctx: Context, { status, retryAfterSeconds }: AppError): void {
  ctx.status = status;
  if (retryAfterSeconds !== undefined) ctx.set('Retry-After', String(retryAfterSeconds));
}
