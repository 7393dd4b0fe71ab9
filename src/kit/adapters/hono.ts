/**
 * Hono: `app.get('/mfaChallenges', protect(verifier.resolve, { scope: 'ticket:read' }), handler)`;
 * the handler finds them with `c.get('auth')`. And whatever else is a function from Request to
 * Response (Bun, Deno, Workers): `protectFetch`.
 */

import { refusalResponse } from '../auth-error.js';
import type { AuthContext, ResolveAuth } from '../context.js';
import { createAdmission, type Rules } from '../protect.js';

/** As much of Hono as is used here. */
export interface HonoContext {
  req: { raw: Request };
  set(name: 'auth', value: AuthContext): void;
}

/** Lets through whom the rules admit, and answers all others. */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const admit = createAdmission(resolve, rules);

  return async function protectRoute(c: HonoContext, next: () => Promise<void>): Promise<Response | undefined> {
    const authResult = await admit(c.req.raw);
    if ('refusal' in authResult) return refusalResponse(authResult.refusal);
    c.set('auth', authResult.auth);
    await next();
    return undefined;
  };
}

type Handler = (request: Request, auth: AuthContext) => Response | Promise<Response>;

export function protectFetch(resolve: ResolveAuth, rules: Rules, handler: Handler) {
  const admit = createAdmission(resolve, rules);

  return async function answerProtected(request: Request): Promise<Response> {
    const authResult = await admit(request);
    return 'refusal' in authResult ? refusalResponse(authResult.refusal) : handler(request, authResult.auth);
  };
}
