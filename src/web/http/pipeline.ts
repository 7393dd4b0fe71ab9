/**
 * The steps that every request passes exactly once, whichever handler serves it: client address,
 * request id, client certificate, security headers, access log. Frequent requests then go straight
 * to their handler; all others go through Koa.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Next } from 'koa';
import type { Config } from '../../base/config.js';
import type { Log } from '../../base/log.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createRequestLogger } from './access-log.js';
import type { ClientCertificateReader } from './client-certificate.js';
import type { Context } from './context.js';
import { variesByOrigin } from './cors.js';
import type { ErrorResponses } from './error-response.js';
import type { SecurityHeaders } from './security-headers.js';
import { sendJson } from './send-json.js';
import { createRequestMetaResolver } from './trusted-proxy.js';

/** A handler that needs neither the router nor Koa. Errors that it throws are sent as JSON. */
export interface DirectRoute {
  /** Method and exact URL: `GET /oauth/jwks`. A request with a query string goes through Koa. */
  route: string;
  /** Reports whether this handler can serve the request. If not, the request goes through Koa. */
  accepts(req: IncomingMessage): boolean;
  handle(req: IncomingMessage, res: ServerResponse, meta: RequestMeta): Promise<void> | void;
}

interface Deps {
  config: Pick<Config, 'issuer' | 'trustedProxies'>;
  certificates: ClientCertificateReader;
  securityHeaders: SecurityHeaders;
  errorResponses: ErrorResponses;
  log: Log;
}

type KoaHandler = (req: IncomingMessage, res: ServerResponse) => unknown;

export function createPipeline({ config, certificates, securityHeaders, errorResponses, log }: Deps) {
  const resolveRequestMeta = createRequestMetaResolver({ ...config, certificates });
  const logRequest = createRequestLogger(log);
  const metas = new WeakMap<IncomingMessage, RequestMeta>();

  return { listener, setState };

  /** Returns the request listener of the server. */
  function listener(directRoutes: DirectRoute[], handleByKoa: KoaHandler) {
    const routesByRequest = new Map(directRoutes.map((directRoute) => [directRoute.route, directRoute]));

    return function handle(req: IncomingMessage, res: ServerResponse): void {
      const meta = prepare(req, res);
      const directRoute = routesByRequest.get(`${req.method} ${req.url}`);
      if (directRoute?.accepts(req)) {
        serve(directRoute, req, res, meta);
      } else {
        metas.set(req, meta);
        void handleByKoa(req, res);
      }
    };
  }

  /** Takes the steps that come before every handler. */
  function prepare(req: IncomingMessage, res: ServerResponse): RequestMeta {
    toOriginForm(req);
    const path = pathOf(req.url!);
    const meta = resolveRequestMeta(req, res);
    logRequest(req.method, path, res, meta);
    securityHeaders.apply(path, res);
    if (variesByOrigin(path)) res.setHeader('Vary', 'Origin');
    return meta;
  }

  function serve({ handle }: DirectRoute, req: IncomingMessage, res: ServerResponse, meta: RequestMeta): void {
    try {
      handle(req, res, meta)?.catch((error: unknown) => sendError(error, req, res, meta));
    } catch (error) {
      sendError(error, req, res, meta);
    }
  }

  function sendError(error: unknown, req: IncomingMessage, res: ServerResponse, { requestId }: RequestMeta): void {
    if (req.errored || res.destroyed) return; // the client disconnected
    const appError = errorResponses.toAppError(error, requestId);
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const { headers, body } = errorResponses.responseFor(appError, pathOf(req.url!), requestId);
    sendJson(res, appError.status, body, headers);
  }

  /** Koa middleware: makes the request metadata and the certificates available to handlers. */
  async function setState(ctx: Context, next: Next): Promise<void> {
    ctx.state.meta = metas.get(ctx.req)!;
    ctx.state.certificates = certificates.certificatesOf(ctx.req);
    await next();
  }
}

/** Rewrites an absolute request target (RFC 9112, 3.2.2), so that all handlers see one form. */
function toOriginForm(req: IncomingMessage): void {
  const url = req.url!;
  if (url.startsWith('/') || !/^https?:/i.test(url)) return;
  const rest = url.replace(/^https?:\/\/[^/?#]*/i, '');
  req.url = rest.startsWith('/') ? rest : `/${rest}`;
}

function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  return end === -1 ? url : url.slice(0, end);
}
