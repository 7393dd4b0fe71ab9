/**
 * Cross-origin requests to the JSON API: only from listed origins, with their cookies. Without a
 * list there is no CORS at all.
 */
import type { Next } from 'koa';
import type { Context } from './context.js';

const API = '/api/';
/** The OAuth endpoints under /api follow the origins of the registered clients instead. */
const OAUTH = '/api/v1/oauth/';
const METHODS = 'GET, POST, PUT, PATCH, DELETE';
const REQUEST_HEADERS = 'Authorization, Content-Type, X-API-Key, X-CSRF-Token, DPoP';
const RESPONSE_HEADERS =
  'RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, X-Request-Id, DPoP-Nonce';
const MAX_AGE_SECONDS = '600';

export function cors({ allowedOrigins }: { allowedOrigins: string[] }) {
  const allowed = new Set(allowedOrigins);

  return async function answerCrossOrigin(ctx: Context, next: Next): Promise<void> {
    if (!ctx.path.startsWith(API) || ctx.path.startsWith(OAUTH)) return next();
    const origin = ctx.get('Origin');
    ctx.vary('Origin');
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
