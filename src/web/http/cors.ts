/**
 * CORS for the JSON API. Allows credentialed requests from the configured origins only. Without
 * configured origins, no CORS headers are sent.
 */
import type { Next } from 'koa';
import type { Context } from './context.js';

const API_PREFIX = '/api/';
/** oidc-provider handles CORS for these paths: it allows the origins of registered clients. */
const OAUTH_PREFIX = '/api/v1/oauth/';
const ALLOWED_METHODS = 'GET, POST, PUT, PATCH, DELETE';
const ALLOWED_HEADERS = 'Authorization, Content-Type, X-API-Key, X-CSRF-Token, DPoP';
const EXPOSED_HEADERS =
  'RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Link, WWW-Authenticate, X-Request-Id, DPoP-Nonce';
const PREFLIGHT_MAX_AGE_SECONDS = '600';

/** Reports whether responses for this path depend on the `Origin` header. */
export const variesByOrigin = (path: string) => path.startsWith(API_PREFIX) && !path.startsWith(OAUTH_PREFIX);

/** Returns the middleware. The pipeline has set `Vary: Origin`. */
export function createCors({ allowedOrigins }: { allowedOrigins: string[] }) {
  const allowed = new Set(allowedOrigins);

  return async function handleCors(ctx: Context, next: Next): Promise<void> {
    if (!variesByOrigin(ctx.path)) return next();
    const origin = ctx.get('Origin');
    if (!allowed.has(origin)) return next();
    ctx.set('Access-Control-Allow-Origin', origin);
    ctx.set('Access-Control-Allow-Credentials', 'true');
    ctx.set('Access-Control-Expose-Headers', EXPOSED_HEADERS);
    if (ctx.method !== 'OPTIONS' || !ctx.get('Access-Control-Request-Method')) return next();
    ctx.set('Access-Control-Allow-Methods', ALLOWED_METHODS);
    ctx.set('Access-Control-Allow-Headers', ALLOWED_HEADERS);
    ctx.set('Access-Control-Max-Age', PREFLIGHT_MAX_AGE_SECONDS);
    ctx.status = 204;
  };
}
