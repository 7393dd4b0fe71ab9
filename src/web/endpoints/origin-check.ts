/**
 * Checks the origin of requests that set a cookie or authenticate with one. Allows our own and the
 * configured origins: another site can send cookies along, but cannot forge its origin.
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
   * Reports whether the request names its origin. Browsers do so except for simple GET requests;
   * programs do not.
   */
  function isListed(ctx: Context): boolean {
    return Boolean(ctx.get('Origin') || ctx.get('Sec-Fetch-Site'));
  }

  /** Throws `csrf_validation_failed` if the request names an origin that is not allowed. */
  function check(ctx: Context): void {
    if (!isListed(ctx)) return;
    const [origin, site] = [ctx.get('Origin'), ctx.get('Sec-Fetch-Site')];
    const own =
      origin && origin !== 'null' ? known.has(origin) : site === 'same-origin' || (!origin && site === 'none');
    if (!own) throw forbidden('csrf_validation_failed', 'Requests from this origin are not allowed.');
  }
}
