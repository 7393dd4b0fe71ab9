/**
 * An endpoint of a JSON API: input, accepted credentials, response. The same declaration guards the
 * endpoint and describes it in the OpenAPI document. Each API has its own session cookie.
 */
import Router from '@koa/router';
import type { z } from 'zod';
import { AppError, forbidden, insufficientScope, type LimitState, unauthorized } from '../../base/app-error.js';
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
import { parsed } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { setLimitHeaders } from '../http/rate-limit-headers.js';
import type { DocumentedErrorCode } from './documented-errors.js';
import { extractCredential } from './extract-credential.js';
import { readBody } from './json-body.js';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export interface Endpoint<
  Kind extends PrincipalKind = PrincipalKind,
  Body extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
> {
  summary: string;
  /** Details for the OpenAPI document, in Markdown. */
  description?: string;
  /** The accepted kinds of credentials. Empty: public; credentials are ignored. */
  accepts: readonly Kind[];
  /** Credentials that the handler reads itself, for the OpenAPI document. */
  documentedCredentials?: readonly ('bearer' | 'cookie' | 'refreshCookie')[];
  /** Also accepts requests without a credential. */
  optional?: boolean;
  /** Accepts the refresh cookie if the access cookie has expired. */
  acceptRefreshCookie?: boolean;
  /** The scope that an OAuth token needs. Null: none. */
  scope?: string | null;
  /** Requires an administrator of this server. */
  admin?: boolean;
  /** A configured secret that is accepted instead of a credential. */
  sharedSecret?: string | undefined;
  /** Requires that a user has authenticated within the last minutes. */
  requireRecentAuth?: boolean;
  /** A rate limit by IP address, for public endpoints, or a function that counts in its own way. */
  limit?: 'anonymous' | 'default' | ((address: string) => Promise<LimitState | undefined>);
  /**
   * The schema of the query. The handler receives query and body merged; the body takes precedence.
   */
  query?: Query;
  body?: Body;
  /** Accepts an urlencoded form as well as JSON. */
  form?: boolean;
  /** Status and body of a successful response. */
  response: readonly [status: number, schema: z.ZodType];
  /** Error codes of the handler, for the OpenAPI document. */
  errors?: readonly DocumentedErrorCode[];
  /** The body of a 401 response, if it differs from `ErrorAnswer`. */
  unauthorized?: z.ZodType;
}

export interface EndpointAt extends Endpoint {
  method: Method;
  path: string;
  /** How browsers authenticate at this API. */
  browsers: Pick<Browsers, 'scheme' | 'hasCsrfToken'>;
}

/** Cookie authentication of an API, and its CSRF protection. */
export interface Browsers {
  /**
   * The name of the cookie, which contains an access token, and its name in the OpenAPI document.
   */
  cookieName: string;
  scheme: 'cookie' | 'toolsCookie';
  /** True if changes need a CSRF token. */
  hasCsrfToken: boolean;
  /** Throws `csrf_validation_failed` for a change that another site may have sent. */
  checkChange(ctx: Context, sessionId: string): void;
  /** Returns the refresh token, which is accepted when the access cookie has expired. */
  refreshToken?(ctx: Context): string | undefined;
}

type Handle<Kind extends PrincipalKind, Body extends z.ZodType, Query extends z.ZodType> = (
  ctx: Context,
  input: z.output<Body> & z.output<Query>,
  principal: Extract<Principal, { kind: Kind }>,
) => Promise<void> | void;

interface Deps {
  clock: Clock;
  credentials: Credentials;
  browsers: Browsers;
  rateLimiter: RateLimiter;
  rateLimits: Config['rateLimits'];
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

export type Api = ReturnType<typeof createEndpoints>;

export function createEndpoints({ clock, credentials, browsers, rateLimiter, rateLimits }: Deps) {
  const router = new Router<State>({ sensitive: true });
  const endpoints: EndpointAt[] = [];

  return {
    router,
    endpoints,
    requireAdmin,
    requireRecentAuthentication,
    get: on('get'),
    post: on('post'),
    put: on('put'),
    patch: on('patch'),
    delete: on('delete'),
  };

  function on(method: Method) {
    return function add<Kind extends PrincipalKind, Body extends z.ZodType, Query extends z.ZodType>(
      path: string,
      endpoint: Endpoint<Kind, Body, Query>,
      handle: Handle<Kind, Body, Query>,
    ): void {
      if (endpoint.accepts.includes('oauth' as Kind) && endpoint.scope === undefined) {
        throw new Error(`${path} accepts OAuth tokens: say with which scope.`);
      }
      endpoints.push({ ...endpoint, method, path, browsers });
      router[method](path, async function answerEndpoint(ctx: Context) {
        const principal = await authenticate(ctx, endpoint);
        if (principal) ctx.state.principal = principal;
        const query = endpoint.query && parsed(endpoint.query, { ...ctx.query }, 'query');
        const body = endpoint.body && (await readBody(ctx, endpoint.body, { form: endpoint.form }));
        ctx.status = endpoint.response[0];
        const input = query ? { ...query, ...(body as object | undefined) } : body;
        await handle(ctx, input as z.output<Body> & z.output<Query>, principal as Extract<Principal, { kind: Kind }>);
      });
    };
  }

  /** Returns the principal, after all checks of the endpoint. Undefined for a public request. */
  async function authenticate(ctx: Context, endpoint: Endpoint): Promise<Principal | undefined> {
    if (endpoint.accepts.length === 0) {
      await countAddress(ctx, endpoint.limit);
      return undefined;
    }
    if (endpoint.sharedSecret && carriesSecret(ctx, endpoint.sharedSecret)) {
      await count(ctx, 'anonymous', ctx.state.meta.address);
      return undefined;
    }
    const principal = await identify(ctx, endpoint);
    if (!principal) {
      if (endpoint.optional) return undefined;
      throw unauthorized('no_auth', 'Sign in, or send a credential.');
    }
    if (!endpoint.accepts.includes(principal.kind)) {
      throw forbidden('insufficient_scope', 'This endpoint does not accept this type of credential.');
    }
    if (principal.kind === 'oauth') requireScope(principal, endpoint);
    if (endpoint.admin) requireAdmin(principal);
    if (endpoint.requireRecentAuth) requireRecentAuthentication(principal);
    return principal;
  }

  /**
   * Throws `insufficient_scope` with the missing scope, so that the app can request it (RFC 6750,
   * 3.1).
   */
  function requireScope({ scopes }: OAuthPrincipal, { scope }: Endpoint): void {
    if (scope && !scopes.includes(scope)) throw insufficientScope(scope);
  }

  /** Only users can be administrators: no keys, agents or apps. */
  function requireAdmin(principal: Principal): void {
    if (principal.kind === 'login' && principal.account.role === 'admin') return;
    throw forbidden('insufficient_role', 'Only administrators of this server can do this.');
  }

  /** Throws `reauth_required` if the user authenticated too long ago. */
  function requireRecentAuthentication(principal: Principal): void {
    const isStale =
      principal.kind === 'login' && !isRecentlyAuthenticated(principal.authenticated.session, clock.now());
    if (isStale) throw unauthorized('reauth_required', 'Authenticate again: POST /api/v1/auth/reauth, or sign in.');
  }

  async function identify(ctx: Context, { accepts, acceptRefreshCookie }: Endpoint): Promise<Principal | undefined> {
    const { address } = ctx.state.meta;
    try {
      const presented = extractCredential(ctx, browsers.cookieName);
      const principal =
        (presented && (await credentials.resolve(presented.value, presented.presentation))) ??
        (acceptRefreshCookie ? await credentials.refreshTokenPrincipal(browsers.refreshToken?.(ctx)) : undefined) ??
        // A platform may send a certificate with every connection. It is ignored where certificates
        // are not accepted.
        (accepts.includes('workload') ? credentials.resolveCertificate(ctx.state.certificates) : undefined);
      if (!principal) {
        await count(ctx, 'anonymous', address);
        return undefined;
      }
      if (presented?.by === 'cookie' && principal.kind !== 'login') {
        throw unauthorized('invalid_token', 'This token cannot be sent in a cookie.');
      }
      // Sends the next nonce before the last one expires.
      if (presented?.presentation.scheme === 'dpop') ctx.set('DPoP-Nonce', credentials.nextNonce());
      const { type, id } = rateLimitSubject(principal);
      await count(ctx, type, id);
      if (presented?.by !== 'header' && principal.kind === 'login' && !SAFE_METHODS.has(ctx.method)) {
        browsers.checkChange(ctx, principal.authenticated.session.id);
      }
      return principal;
    } catch (error) {
      if (error instanceof AppError && error.status === 401) await count(ctx, 'default', address);
      throw error;
    }
  }

  async function countAddress(ctx: Context, limit: Endpoint['limit'] = 'anonymous'): Promise<void> {
    const { address } = ctx.state.meta;
    if (typeof limit !== 'function') return count(ctx, limit, address);
    const state = await limit(address);
    if (state) setLimitHeaders(ctx.res, state);
  }

  /** Counts the request and sets the rate-limit headers. */
  async function count(
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

/** Compares hashes, because they have the same length. */
const carriesSecret = (ctx: Context, sharedSecret: string) =>
  constantTimeEqual(sha256(ctx.get('Authorization')), sha256(`Bearer ${sharedSecret}`));
