/**
 * CORS for the JSON API. Allows credentialed requests from the configured origins only. Without
 * configured origins, there is no CORS.
 */
import type { Next } from 'koa';
import type { Context } from './context.js';

const API = '/api/';
/** oidc-provider handles CORS for these, by the origins of registered clients. */
const OAUTH = '/api/v1/oauth/';
const METHODS = 'GET, POST, PUT, PATCH, DELETE';
const REQUEST_HEADERS = 'Authorization, Content-Type, X-API-Key, X-CSRF-Token, DPoP';
const RESPONSE_HEADERS =
  'RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, X-Request-Id, DPoP-Nonce';
const MAX_AGE_SECONDS = '600';

/** Reports whether responses for this path depend on the `Origin` header. */
export const variesByOrigin = (path: string) => path.startsWith(API) && !path.startsWith(OAUTH);

/** Returns the middleware. The pipeline has set `Vary: Origin`. */
export function cors({ allowedOrigins }: { allowedOrigins: string[] }) {
  const allowed = new Set(allowedOrigins);

  return async function handleCors(ctx: Context, next: Next): Promise<void> {
    if (!variesByOrigin(ctx.path)) return next();
    const origin = ctx.get('Origin');
    if (!allowed.has(origin)) return next();
    ctx.set('Access-Control-Allow-Origin', origin);
    ctx.set('Access-Control-Allow-Credentials', 'true');
    ctx.set('Access-Control-Expose-Headers', RESPONSE_HEADERS);
    if (ctx.method !== 'OPTIONS' || !ctx.get('Access-Control-Request-Method')) return next();
    ctx.set('Access-Control-Allow-Methods', METHODS);
    ctx.set('Access-Control-Allow-Headers', REQUEST_HEADERS);
    ctx.set('Access-Control-Max-Age', MAX_AGE_SECONDS);
    ctx.status = 204;
  };
}
