/**
 * Express: `app.get('/tickets', protect(verifier.resolve, { scope: 'ticket:read' }), handler)`.
 * Also for Connect and plain Node.js servers.
 */
import { bodyOf } from '../auth-error.js';
import type { AuthContext, RequestLike, ResolveAuth } from '../context.js';
import { joinAuthorization, type NodeRequest } from '../headers.js';
import { createAdmission, type Rules } from '../protect.js';

/** The part of an Express request that is used here. */
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

const contexts = new WeakMap<ExpressRequest, AuthContext>();

/**
 * Returns a middleware that allows the requests that satisfy the rules, and responds to all others
 * with an error. The handler gets the caller from `authOf(req)`.
 */
export function protect(resolve: ResolveAuth, rules?: Rules) {
  const authorize = createAdmission(resolve, rules);

  return async function protectRoute(req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) {
    try {
      const result = await authorize(toRequest(req));
      if ('auth' in result) {
        contexts.set(req, result.auth);
        next();
        return;
      }
      const { error } = result;
      res.statusCode = error.status;
      const headers = { ...error.headers, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
      for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
      res.end(JSON.stringify(bodyOf(error)));
    } catch (error) {
      next(error);
    }
  };
}

/** Returns the caller of a request. Throws on a route without `protect()`. */
export function authOf(req: ExpressRequest): AuthContext {
  const auth = contexts.get(req);
  if (!auth) throw new Error('This route has no protect() before its handler');
  return auth;
}

/** Converts a request. Joins repeated headers, which makes those that the kit reads invalid. */
function toRequest(req: ExpressRequest): RequestLike {
  const { method, url, originalUrl = url, protocol = 'http', headers, socket } = req;
  const get = (name: string) =>
    joinAuthorization(req, name, [headers[name.toLowerCase()] ?? []].flat().join(', ') || null);
  const base = `${protocol}://${get('host') ?? 'localhost'}`;
  return { method, url: base + originalUrl, headers: { get }, peer: socket.remoteAddress };
}
