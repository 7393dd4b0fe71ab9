/**
 * One line of a JSON API: what it reads, which credentials do, what it answers. The same values
 * guard it and describe it in the OpenAPI document, so that neither can say something else. Each
 * door of programs has its own lines, and its own way to know browsers.
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
  /** What the summary leaves out, in Markdown, for the document. */
  description?: string;
  /**
   * The kinds of credentials that do. None: anybody may come, and what they carry is not looked at.
   */
  accepts: readonly Kind[];
  /** What its handler looks at by itself, for the document. */
  documentedCredentials?: readonly ('bearer' | 'cookie' | 'refreshCookie')[];
  /** Whoever carries nothing may come as well. */
  optional?: boolean;
  /** The refresh cookie will do where the access cookie has expired. */
  acceptRefreshCookie?: boolean;
  /** What an OAuth token must have been given, where those are accepted; null: nothing. */
  scope?: string | null;
  /** For administrators of this instance only. */
  admin?: boolean;
  /** A secret of the keeper's: whoever carries it may come as if nothing were needed. */
  sharedSecret?: string | undefined;
  /** A person who comes proved who they are within the last minutes. */
  requireRecentAuth?: boolean;
  /**
   * Counted by address, whoever comes: what is carried in the body is not known yet. Or counted in
   * a way of its own.
   */
  limit?: 'anonymous' | 'default' | ((address: string) => Promise<LimitState | undefined>);
  /**
   * What may stand in the query. The handler gets it together with the body, which decides where
   * both say something.
   */
  query?: Query;
  body?: Body;
  /** A form will do as well as JSON. */
  form?: boolean;
  /** Status and body of a yes. */
  response: readonly [status: number, schema: z.ZodType];
  /** The codes of the refusals that are its own, for the document. */
  errors?: readonly DocumentedErrorCode[];
  /** The body of its 401, where that has members of its own. */
  unauthorized?: z.ZodType;
}

export interface EndpointAt extends Endpoint {
  method: Method;
  path: string;
  /** By what a browser is signed in at this door. */
  browsers: Pick<Browsers, 'scheme' | 'hasCsrfToken'>;
}

/**
 * How a door knows browsers: the cookie that signs them in, and what keeps another site from using
 * it.
 */
export interface Browsers {
  /** The name of the cookie, which holds an access token, and what the document calls it. */
  cookieName: string;
  scheme: 'cookie' | 'toolsCookie';
  /** Whether a change carries a CSRF token. */
  hasCsrfToken: boolean;
  /** Refuses with `csrf_validation_failed` a change that may have been sent by another site. */
  checkChange(ctx: Context, sessionId: string): void;
  /** What stands in for the cookie once it has expired, where there is such a thing. */
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

  /** Who it is, once all that stands in the line is true of them. */
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
      throw forbidden('insufficient_scope', 'This kind of credential will not do here.');
    }
    if (principal.kind === 'oauth') requireScope(principal, endpoint);
    if (endpoint.admin) requireAdmin(principal);
    if (endpoint.requireRecentAuth) requireRecentAuthentication(principal);
    return principal;
  }

  /**
   * Tells an app what to ask the person for (RFC 6750, 3.1), so that it can come back with more.
   */
  function requireScope({ scopes }: OAuthPrincipal, { scope }: Endpoint): void {
    if (scope && !scopes.includes(scope)) throw insufficientScope(scope);
  }

  /** No key, agent or app ever passes for an administrator, whosever it is. */
  function requireAdmin(principal: Principal): void {
    if (principal.kind === 'login' && principal.account.role === 'admin') return;
    throw forbidden('insufficient_role', 'Only administrators of this server may do that.');
  }

  /** Refuses with `reauth_required` a person who did not prove lately who they are. */
  function requireRecentAuthentication(principal: Principal): void {
    const isStale = principal.kind === 'login' && !isRecentlyAuthenticated(principal.login.session, clock.now());
    if (isStale)
      throw unauthorized('reauth_required', 'Prove again who you are: POST /api/v1/auth/reauth, or sign in.');
  }

  async function identify(ctx: Context, { accepts, acceptRefreshCookie }: Endpoint): Promise<Principal | undefined> {
    const { address } = ctx.state.meta;
    try {
      const presented = extractCredential(ctx, browsers.cookieName);
      const principal =
        (presented && (await credentials.resolve(presented.value, presented.presentation))) ??
        (acceptRefreshCookie ? await credentials.refreshTokenPrincipal(browsers.refreshToken?.(ctx)) : undefined) ??
        // A platform may certify every connection: where that is no credential, it must not stand
        // in anybody's way.
        (accepts.includes('workload') ? credentials.resolveCertificate(ctx.state.certificates) : undefined);
      if (!principal) {
        await count(ctx, 'anonymous', address);
        return undefined;
      }
      if (presented?.by === 'cookie' && principal.kind !== 'login') {
        throw unauthorized('invalid_token', 'This token does not belong in a cookie.');
      }
      // Whoever proves something with each request has the next nonce before the last one is too
      // old.
      if (presented?.presentation.scheme === 'dpop') ctx.set('DPoP-Nonce', credentials.nextNonce());
      const { type, id } = rateLimitSubject(principal);
      await count(ctx, type, id);
      if (presented?.by !== 'header' && principal.kind === 'login' && !SAFE_METHODS.has(ctx.method)) {
        browsers.checkChange(ctx, principal.login.session.id);
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

  /** Counts the request, and says in its answer how many more may follow. */
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

/** Compared by their hashes, which have one length. */
const carriesSecret = (ctx: Context, sharedSecret: string) =>
  constantTimeEqual(sha256(ctx.get('Authorization')), sha256(`Bearer ${sharedSecret}`));
