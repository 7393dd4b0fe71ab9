/**
 * Passes requests to oidc-provider, which reads the body itself. Koa's routes and the direct routes
 * make the same checks first.
 */
import type { IncomingMessage } from 'node:http';
import type { Next } from 'koa';
import { AppError, invalidRequest } from '../../base/app-error.js';
import { hasSeveralAuthorizationHeaders } from '../http/authorization-header.js';
import { limitBody } from '../http/body.js';
import type { Context } from '../http/context.js';
import type { DirectRoute } from '../http/pipeline.js';
import type { ClientAuthThrottle } from './client-auth-throttle.js';
import { MAX_BODY_BYTES, ROUTES, TOKEN_ALIAS_PATH } from './paths.js';
import type { Providers, RequestHandler } from './provider/provider.js';

interface Deps {
  providers: Providers;
  clientAuthThrottle: ClientAuthThrottle;
}

/** Endpoints at which clients authenticate. Failures are limited. */
export const CLIENT_ENDPOINTS = [ROUTES.token, TOKEN_ALIAS_PATH, ROUTES.introspection, ROUTES.revocation] as const;

export type ProviderEndpoints = ReturnType<typeof createProviderEndpoints>;

export function createProviderEndpoints({ providers, clientAuthThrottle }: Deps) {
  const directRoutes: DirectRoute[] = [
    ...CLIENT_ENDPOINTS.map((path) => directRoute('POST', path, { throttle: true })),
    directRoute('GET', ROUTES.userinfo),
    directRoute('POST', ROUTES.userinfo),
  ];

  return { directRoutes, checkBody, throttleClientAuth, toProvider };

  function directRoute(method: string, path: string, { throttle = false } = {}): DirectRoute {
    return {
      route: `${method} ${path}`,
      accepts: () => true,
      async handle(req, res, { address }) {
        limitBody(req, res, MAX_BODY_BYTES);
        const key = throttle ? clientAuthThrottle.keyFor(address, req.headers.authorization) : undefined;
        if (key) await clientAuthThrottle.throwIfExceeded(key);
        const handler = await handlerFor(req, path);
        await handler(req, res);
        if (key) await clientAuthThrottle.countFailure(key, res.statusCode);
      },
    };
  }

  /** Koa middleware: rejects a body that is compressed or too large. */
  async function checkBody(ctx: Context, next: Next): Promise<void> {
    limitBody(ctx.req, ctx.res, MAX_BODY_BYTES);
    await next();
  }

  /** Koa middleware: rejects a client that failed to authenticate too often. */
  async function throttleClientAuth(ctx: Context, next: Next): Promise<void> {
    const key = clientAuthThrottle.keyFor(ctx.state.meta.address, ctx.req.headers.authorization);
    await clientAuthThrottle.throwIfExceeded(key);
    await next();
    await clientAuthThrottle.countFailure(key, ctx.res.statusCode);
  }

  /** Koa handler: oidc-provider sends the response. */
  async function toProvider(ctx: Context): Promise<void> {
    if (ctx.method === 'HEAD') throw new AppError(405, 'method_not_allowed', 'This URL does not support that method.');
    const handler = await handlerFor(ctx.req, ctx.path);
    ctx.respond = false;
    ctx.status = 404; // oidc-provider creates a context of its own, which starts with Koa's default
    await handler(ctx.req, ctx.res);
  }

  async function handlerFor(req: IncomingMessage, path: string): Promise<RequestHandler> {
    if (hasSeveralAuthorizationHeaders(req)) throw invalidRequest('Send one Authorization header.');
    const { handleMain, handleAlias } = providers.currentIfBuilt() ?? (await providers.current());
    return path === TOKEN_ALIAS_PATH ? handleAlias : handleMain;
  }
}
