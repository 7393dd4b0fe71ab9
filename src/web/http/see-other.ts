/**
 * Redirects after a form. Always 303, so that the browser never repeats the POST (RFC 9700, 4.12).
 */
import type { Context } from './context.js';

/** Redirects to a URL with status 303. */
export function seeOther(ctx: Context, to: string): void {
  ctx.redirect(to);
  ctx.status = 303;
}
