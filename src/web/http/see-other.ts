/**
 * Goes on to another page after a form: always 303, so that what was posted is never posted again
 * (RFC 9700, 4.12).
 */
import type { Context } from './context.js';

export function seeOther(ctx: Context, to: string): void {
  ctx.redirect(to);
  ctx.status = 303;
}
