/** Koa: `router.get('/tickets', protect(verifier.resolve, { scope: 'ticket:read' }), handler)`. */
import { bodyOf } from '../auth-error.js';
import type { ResolveAuth } from '../context.js';
import { joinAuthorization, type NodeRequest } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';

/** The part of a Koa context that is used here. */
export interface KoaContext {
  method: string;
  href: string;
  get(name: string): string;
  set(headers: Record<string, string>): void;
  req: NodeRequest & { socket: { remoteAddress?: string } };
  state: object;
  status: number;
  body: unknown;
}

/**
 * Returns a middleware that allows the requests that satisfy the rules, and responds to all others
 * with an error. The handler gets the caller from `ctx.state.auth`.
 */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const authorize = createAdmission(resolve, rules);

  return async function protectRoute(ctx: KoaContext, next: () => Promise<unknown>): Promise<void> {
    const { method, href: url, req } = ctx;
    const headers = { get: (name: string) => joinAuthorization(req, name, ctx.get(name) || null) };
    const result = await authorize({ method, url, headers, peer: req.socket.remoteAddress });
    if ('auth' in result) {
      Object.assign(ctx.state, { auth: result.auth });
      await next();
      return;
    }
    const { error } = result;
    ctx.status = error.status;
    ctx.set({ ...error.headers, 'Cache-Control': 'no-store' });
    ctx.body = bodyOf(error);
  };
}
