/**
 * A fast path for the endpoints that programs call most often. A plain request goes to
 * oidc-provider without Koa's routing; the request pipeline and the client throttle still apply.
 * Any other request falls through to the router, which also words the errors.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../base/log.js';
import type { LogRequest } from '../http/access-log.js';
import { hasSeveralAuthorizations } from '../http/authorization-header.js';
import type { ApplySecurityHeaders } from '../http/security-headers.js';
import type { ResolveRequestMeta } from '../http/trusted-proxy.js';
import type { ClientAuthThrottle } from './client-auth-throttle.js';
import { MAX_BODY_BYTES, ROUTES, TOKEN_ALIAS } from './paths.js';
import type { Providers, RequestHandler } from './provider/provider.js';

/** What every request passes, whichever handler serves it. */
export interface RequestPipeline {
  resolveRequestMeta: ResolveRequestMeta;
  logRequest: LogRequest;
  applySecurityHeaders: ApplySecurityHeaders;
}

interface Deps {
  providers: Providers;
  clientAuthThrottle: ClientAuthThrottle;
  pipeline: RequestPipeline;
  log: Log;
}

interface Route {
  /** True where a client authenticates, so that its secret could be guessed. */
  throttled: boolean;
}

/** By method and exact URL: a request with a query string is not eligible. */
const FAST_ROUTES = new Map<string, Route>([
  ...[ROUTES.token, TOKEN_ALIAS, ROUTES.introspection, ROUTES.revocation].map(
    (path) => [`POST ${path}`, { throttled: true }] as const,
  ),
  [`GET ${ROUTES.userinfo}`, { throttled: false }],
  [`POST ${ROUTES.userinfo}`, { throttled: false }],
]);

export function createFastPath({ providers, clientAuthThrottle, pipeline, log }: Deps) {
  const { resolveRequestMeta, logRequest, applySecurityHeaders } = pipeline;

  return { tryHandle };

  /**
   * Handles an eligible request and returns true. Returns false, and leaves the request untouched,
   * for every other one.
   */
  function tryHandle(req: IncomingMessage, res: ServerResponse, fallback: RequestHandler): boolean {
    const route = FAST_ROUTES.get(`${req.method} ${req.url}`);
    const current = route && isEligible(req) && providers.ready();
    if (!current) return false;
    const handler = req.url === TOKEN_ALIAS ? current.handleAlias : current.handleMain;
    handle(req, res, { handler, fallback, ...route }).catch((error) => {
      log.error({ error }, 'a request failed on the fast path');
      res.destroy();
    });
    return true;
  }

  async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    { handler, fallback, throttled }: Route & { handler: RequestHandler; fallback: RequestHandler },
  ): Promise<void> {
    const meta = resolveRequestMeta(req, res);
    const key = throttled ? clientAuthThrottle.keyFor(meta.address, req.headers.authorization) : undefined;
    if (key && (await clientAuthThrottle.isExceeded(key))) return fallback(req, res);
    const path = req.url ?? '';
    logRequest({ method: req.method, path }, res, meta);
    applySecurityHeaders(path, res);
    await handler(req, res);
    if (key) await clientAuthThrottle.count(key, res.statusCode);
  }
}

/** Reports whether the router would hand the request to oidc-provider unchanged. */
function isEligible(req: IncomingMessage): boolean {
  const { headers } = req;
  if (headers['content-encoding'] !== undefined) return false;
  return Number(headers['content-length'] ?? 0) <= MAX_BODY_BYTES && !hasSeveralAuthorizations(req);
}
