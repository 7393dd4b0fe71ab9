/**
 * Endpoints of a JSON API. This file enforces what their declarations state; the OpenAPI document
 * is generated from the same declarations. Each API has its own session cookie.
 */
import Router from '@koa/router';
import type { z } from 'zod';
import { AppError, forbidden, insufficientScope, unauthorized } from '../../base/app-error.js';
import { type Clock, MINUTE_SECONDS } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import { constantTimeEqual, sha256 } from '../../base/crypto.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import type { Credentials } from '../../core/credentials/credentials.js';
import {
  type OAuthPrincipal,
  type Principal,
  type PrincipalKind,
  rateLimitSubject,
} from '../../core/credentials/principal.js';
import { isRecentlyAuthenticated } from '../../core/sessions/authentication-methods.js';
import { validate } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { setLimitHeaders } from '../http/rate-limit-headers.js';
import type { CookieAuth, Endpoint, EndpointHandler, Method, RegisteredEndpoint } from './endpoint.js';
import { extractCredential } from './extract-credential.js';
import { readBody } from './json-body.js';

interface Deps {
  clock: Clock;
  credentials: Credentials;
  cookieAuth: CookieAuth;
  rateLimiter: RateLimiter;
  rateLimits: Config['rateLimits'];
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

export type Api = ReturnType<typeof createEndpoints>;

/** Creates the router of an API, and the functions that add endpoints to it. */
export function createEndpoints({ clock, credentials, cookieAuth, rateLimiter, rateLimits }: Deps) {
  const router = new Router<State>({ sensitive: true });
  const endpoints: RegisteredEndpoint[] = [];

  return {
    router,
    endpoints,
    requireAdmin,
    requireRecentAuthentication,
    get: adder('get'),
    post: adder('post'),
    put: adder('put'),
    patch: adder('patch'),
    delete: adder('delete'),
  };

  function adder(method: Method) {
    return function add<Kind extends PrincipalKind, Body extends z.ZodType, Query extends z.ZodType>(
      path: string,
      endpoint: Endpoint<Kind, Body, Query>,
      handle: EndpointHandler<Kind, Body, Query>,
    ): void {
      if (endpoint.accepts.includes('oauth' as Kind) && endpoint.scope === undefined) {
        throw new Error(`${path} accepts OAuth tokens, but names no scope`);
      }
      endpoints.push({ ...endpoint, method, path, cookieAuth });
      router[method](path, async function handleEndpoint(ctx: Context) {
        const principal = await authenticate(ctx, endpoint);
        if (principal) ctx.state.principal = principal;
        const query = endpoint.query && validate(endpoint.query, { ...ctx.query }, 'query');
        const body = endpoint.body && (await readBody(ctx, endpoint.body, { form: endpoint.form }));
        ctx.status = endpoint.response[0];
        const input = query ? { ...query, ...(body as object | undefined) } : body;
        await handle(ctx, input as z.output<Body> & z.output<Query>, principal as Extract<Principal, { kind: Kind }>);
      });
    };
  }

  /**
   * Returns the principal after all checks of the endpoint. Undefined for a public endpoint, the
   * shared secret, or a missing optional credential.
   */
  async function authenticate(ctx: Context, endpoint: Endpoint): Promise<Principal | undefined> {
    if (endpoint.accepts.length === 0) {
      await limitByAddress(ctx, endpoint.limit);
      return undefined;
    }
    if (endpoint.sharedSecret && hasSharedSecret(ctx, endpoint.sharedSecret)) {
      await consume(ctx, 'anonymous', ctx.state.meta.address);
      return undefined;
    }
    const principal = await resolvePrincipal(ctx, endpoint);
    if (!principal) {
      if (endpoint.optional) return undefined;
      throw unauthorized('no_auth', 'Sign in, or send a credential.');
    }
    if (!endpoint.accepts.includes(principal.kind)) {
      throw forbidden('insufficient_scope', 'This endpoint does not accept this type of credential.');
    }
    if (principal.kind === 'oauth') requireScope(principal, endpoint);
    if (endpoint.admin) requireAdmin(principal);
    if (endpoint.requireRecentAuthentication) requireRecentAuthentication(principal);
    return principal;
  }

  /**
   * Throws `insufficient_scope` with the missing scope, so that the app can request it (RFC 6750,
   * 3.1).
   */
  function requireScope({ scopes }: OAuthPrincipal, { scope }: Endpoint): void {
    if (scope && !scopes.includes(scope)) throw insufficientScope(scope);
  }

  /**
   * Throws `insufficient_role` unless the principal is the session of an administrator. API keys,
   * agents and apps are rejected, also those of an administrator.
   */
  function requireAdmin(principal: Principal): void {
    if (principal.kind === 'session' && principal.account.role === 'admin') return;
    throw forbidden('insufficient_role', 'Only administrators of this server can do this.');
  }

  /** Throws `reauth_required` if the user authenticated too long ago. */
  function requireRecentAuthentication(principal: Principal): void {
    const isStale =
      principal.kind === 'session' && !isRecentlyAuthenticated(principal.authenticated.session, clock.now());
    if (isStale) throw unauthorized('reauth_required', 'Authenticate again: POST /api/v1/auth/reauth, or sign in.');
  }

  /**
   * Returns the principal of the request's credential, and consumes one request of its rate limit.
   * Throws `csrf_validation_failed` if a request that changes state is authenticated by a cookie
   * and fails the CSRF check.
   */
  async function resolvePrincipal(
    ctx: Context,
    { accepts, acceptRefreshCookie }: Endpoint,
  ): Promise<Principal | undefined> {
    const { address } = ctx.state.meta;
    try {
      const presented = extractCredential(ctx, cookieAuth.cookieName);
      const principal =
        (presented && (await credentials.resolve(presented.value, presented.presentation))) ??
        (acceptRefreshCookie ? await credentials.refreshTokenPrincipal(cookieAuth.refreshToken?.(ctx)) : undefined) ??
        // A workload platform can send a certificate with every connection, so a certificate is
        // used only where workloads are accepted.
        (accepts.includes('workload') ? credentials.resolveCertificate(ctx.state.certificates) : undefined);
      if (!principal) {
        await consume(ctx, 'anonymous', address);
        return undefined;
      }
      if (presented?.source === 'cookie' && principal.kind !== 'session') {
        throw unauthorized('invalid_token', 'This token cannot be sent in a cookie.');
      }
      // Sends the next nonce before the client's nonce expires.
      if (presented?.presentation.scheme === 'dpop') ctx.set('DPoP-Nonce', credentials.nextNonce());
      const { type, id } = rateLimitSubject(principal);
      await consume(ctx, type, id);
      if (presented?.source !== 'header' && principal.kind === 'session' && !SAFE_METHODS.has(ctx.method)) {
        cookieAuth.checkCsrf(ctx, principal.authenticated.session.id);
      }
      return principal;
    } catch (error) {
      if (error instanceof AppError && error.status === 401) await consume(ctx, 'default', address);
      throw error;
    }
  }

  async function limitByAddress(ctx: Context, limit: Endpoint['limit'] = 'anonymous'): Promise<void> {
    const { address } = ctx.state.meta;
    if (typeof limit !== 'function') return consume(ctx, limit, address);
    const state = await limit(address);
    if (state) setLimitHeaders(ctx.res, state);
  }

  /** Consumes one request of a rate limit and sets the headers. Throws `rate_limited`. */
  async function consume(
    ctx: Context,
    kind: Exclude<keyof Config['rateLimits'], 'validate'>,
    key: string,
  ): Promise<void> {
    const points = rateLimits[kind];
    if (points === 0) return;
    const limit: Limit = { name: `api-${kind}`, points, seconds: MINUTE_SECONDS };
    setLimitHeaders(
      ctx.res,
      await rateLimiter.consume(limit, key === ctx.state.meta.address ? rateLimitKey(key) : key),
    );
  }
}

/** Compares hashes, because a comparison in constant time needs values of equal length. */
const hasSharedSecret = (ctx: Context, sharedSecret: string) =>
  constantTimeEqual(sha256(ctx.get('Authorization')), sha256(`Bearer ${sharedSecret}`));
