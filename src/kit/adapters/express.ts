/**
 * Express: `app.get('/mfaChallenges', protect(verifier.resolve, { scope: 'ticket:read' }),
 * handler)`. Also for Connect, and bare Node.
 */

import { bodyOf } from '../auth-error.js';
import type { AuthContext, RequestLike, ResolveAuth } from '../context.js';
import { type NodeRequest, severalAsOne } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';

/** As much of Express as is used here. */
export interface ExpressRequest extends NodeRequest {
  method: string;
  url: string;
  originalUrl?: string;
  protocol?: string;
  headers: Record<string, string | string[] | undefined>;
  socket: { remoteAddress?: string };
}
interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

const known = new WeakMap<ExpressRequest, AuthContext>();

/**
 * Lets through whom the rules admit, and answers all others. The handler finds them with
 * `authOf(req)`.
 */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const admit = createAdmission(resolve, rules);

  return async function protectRoute(req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) {
    try {
      const authResult = await admit(toRequest(req));
      if ('auth' in authResult) {
        known.set(req, authResult.auth);
        next();
        return;
      }
      const { refusal } = authResult;
      res.statusCode = refusal.status;
      const headers = { ...refusal.headers, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
      for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
      res.end(JSON.stringify(bodyOf(refusal)));
    } catch (error) {
      next(error);
    }
  };
}

/** Who it is. Throws on a route that nothing protects. */
export function authOf(req: ExpressRequest): AuthContext {
  const auth = known.get(req);
  if (!auth) throw new Error('This route has no protect() before it');
  return auth;
}

/** A header that came several times is read as one: none of the kit's is valid then. */
function toRequest(req: ExpressRequest): RequestLike {
  const { method, url, originalUrl = url, protocol = 'http', headers, socket } = req;
  const get = (name: string) => severalAsOne(req, name, [headers[name.toLowerCase()] ?? []].flat().join(', ') || null);
  const base = `${protocol}://${get('host') ?? 'localhost'}`;
  return { method, url: base + originalUrl, headers: { get }, peer: socket.remoteAddress };
}
