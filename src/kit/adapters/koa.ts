/**
 * Koa: `router.get('/mfaChallenges', protect(verifier.resolve, { scope: 'ticket:read' }),
 * handler)`; the handler finds them in `ctx.state.auth`.
 */

import { bodyOf } from '../auth-error.js';
import type { ResolveAuth } from '../context.js';
import { type NodeRequest, severalAsOne } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';

/** As much of Koa as is used here. */
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

/** Lets through whom the rules admit, and answers all others. */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const admit = createAdmission(resolve, rules);

  return async function protectRoute(ctx: KoaContext, next: () => Promise<unknown>): Promise<void> {
    const { method, href: url, req } = ctx;
    const headers = { get: (name: string) => severalAsOne(req, name, ctx.get(name) || null) };
    const authResult = await admit({ method, url, headers, peer: req.socket.remoteAddress });
    if ('auth' in authResult) {
      Object.assign(ctx.state, { auth: authResult.auth });
      await next();
      return;
    }
    const { refusal } = authResult;
    ctx.status = refusal.status;
    ctx.set({ ...refusal.headers, 'Cache-Control': 'no-store' });
    ctx.body = bodyOf(refusal);
  };
}
