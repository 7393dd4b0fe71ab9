/**
 * Hono: `app.get('/tickets', protect(verifier.resolve, { scope: 'ticket:read' }), handler)`.
 * `protectFetch` wraps any other function from `Request` to `Response` (Bun, Deno, Workers).
 */
import { errorResponse } from '../auth-error.js';
import type { AuthContext, ResolveAuth } from '../context.js';
import { createAdmission, type Rules } from '../protect.js';

/** The part of a Hono context that is used here. */
export interface HonoContext {
  req: { raw: Request };
  set(name: 'auth', value: AuthContext): void;
}

/**
 * Returns a middleware that allows the requests that satisfy the rules, and responds to all others
 * with an error. The handler gets the caller from `c.get('auth')`.
 */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const authorize = createAdmission(resolve, rules);

  return async function protectRoute(c: HonoContext, next: () => Promise<void>): Promise<Response | undefined> {
    const result = await authorize(c.req.raw);
    if ('error' in result) return errorResponse(result.error);
    c.set('auth', result.auth);
    await next();
    return undefined;
  };
}

type Handler = (request: Request, auth: AuthContext) => Response | Promise<Response>;

/** Wraps a handler, which gets the caller as its second argument. */
export function protectFetch(resolve: ResolveAuth, rules: Rules, handler: Handler) {
  const authorize = createAdmission(resolve, rules);

  return async function handleProtected(request: Request): Promise<Response> {
    const result = await authorize(request);
    return 'error' in result ? errorResponse(result.error) : handler(request, result.auth);
  };
}
