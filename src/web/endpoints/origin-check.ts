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
  const allowed = new Set([issuer, ...allowedOrigins]);

  return { namesOrigin, check };

  /**
   * Reports whether the request names its origin. Browsers name it, except in simple GET requests;
   * other programs do not.
   */
  function namesOrigin(ctx: Context): boolean {
    return Boolean(ctx.get('Origin') || ctx.get('Sec-Fetch-Site'));
  }

  /** Throws `csrf_validation_failed` if the request names an origin that is not allowed. */
  function check(ctx: Context): void {
    if (!namesOrigin(ctx)) return;
    const [origin, site] = [ctx.get('Origin'), ctx.get('Sec-Fetch-Site')];
    const isAllowed =
      origin && origin !== 'null' ? allowed.has(origin) : site === 'same-origin' || (!origin && site === 'none');
    if (!isAllowed) throw forbidden('csrf_validation_failed', 'Requests from this origin are not allowed.');
  }
}
