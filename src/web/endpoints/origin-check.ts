/**
 * Where a request comes from, as browsers say it. What sets a cookie, or changes something by one,
 * is for our own pages and for those of listed origins: a page elsewhere can send a browser's
 * cookies along, but not say that it is one of ours.
 */
import { forbidden } from '../../base/app-error.js';
import type { Context } from '../http/context.js';

interface Deps {
  issuer: string;
  allowedOrigins: string[];
}

export type OriginCheck = ReturnType<typeof createOriginCheck>;

export function createOriginCheck({ issuer, allowedOrigins }: Deps) {
  const known = new Set([issuer, ...allowedOrigins]);

  return { isListed, check };

  /**
   * Whether it says where it comes from. Programs do not; browsers do with whatever is no plain
   * GET.
   */
  function isListed(ctx: Context): boolean {
    return Boolean(ctx.get('Origin') || ctx.get('Sec-Fetch-Site'));
  }

  /** Refuses with `csrf_validation_failed` what says that it comes from anywhere else. */
  function check(ctx: Context): void {
    if (!isListed(ctx)) return;
    const [origin, site] = [ctx.get('Origin'), ctx.get('Sec-Fetch-Site')];
    const own =
      origin && origin !== 'null' ? known.has(origin) : site === 'same-origin' || (!origin && site === 'none');
    if (!own) throw forbidden('csrf_validation_failed', 'This origin may not do that here.');
  }
}
