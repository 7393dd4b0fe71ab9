/** The declaration of an endpoint, from which endpoints.ts creates routes. */
import type { z } from 'zod';
import type { LimitState } from '../../base/app-error.js';
import type { Principal, PrincipalKind } from '../../core/credentials/principal.js';
import type { Context } from '../http/context.js';
import type { DocumentedErrorCode } from './documented-errors.js';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export interface Endpoint<
  Kind extends PrincipalKind = PrincipalKind,
  Body extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
> {
  summary: string;
  /** Details for the OpenAPI document, in Markdown. */
  description?: string;
  /** The accepted kinds of credentials. Empty: the endpoint is public and ignores credentials. */
  accepts: readonly Kind[];
  /** Credentials that the handler reads itself, for the OpenAPI document. */
  documentedCredentials?: readonly ('bearer' | 'cookie' | 'refreshCookie')[];
  /** Also accepts requests without a credential. */
  optional?: boolean;
  /** Accepts the refresh cookie if the access cookie has expired. */
  acceptRefreshCookie?: boolean;
  /** The scope that an OAuth token must have. Null: it needs none. */
  scope?: string | null;
  /** Requires an administrator of this server. */
  admin?: boolean;
  /** A configured secret that is accepted instead of a credential. */
  sharedSecret?: string | undefined;
  /** Requires recent authentication of a user. Other credentials are not affected. */
  requireRecentAuthentication?: boolean;
  /** For public endpoints: the rate limit by IP address, or a function that counts the request. */
  limit?: 'anonymous' | 'default' | ((address: string) => Promise<LimitState | undefined>);
  /** The schema of the query. The handler gets query and body merged; the body takes precedence. */
  query?: Query;
  body?: Body;
  /** Accepts an urlencoded form as well as JSON. */
  form?: boolean;
  /** Status and body of a successful response. */
  response: readonly [status: number, schema: z.ZodType];
  /** Error codes of the handler, for the OpenAPI document. */
  errors?: readonly DocumentedErrorCode[];
  /** The schema of a 401 response, if it differs from `ErrorBody`. */
  unauthorized?: z.ZodType;
}

export interface RegisteredEndpoint extends Endpoint {
  method: Method;
  path: string;
  /** The cookie authentication of its API. */
  cookieAuth: Pick<CookieAuth, 'scheme' | 'requiresCsrfToken'>;
}

/** Cookie authentication of an API, and its CSRF protection. */
export interface CookieAuth {
  /** The name of the cookie, which contains an access token. */
  cookieName: string;
  /** The name of the security scheme in the OpenAPI document. */
  scheme: 'cookie' | 'toolsCookie';
  /** True if changes require a CSRF token. */
  requiresCsrfToken: boolean;
  /** Throws `csrf_validation_failed` if another site may have caused the request. */
  checkCsrf(ctx: Context, sessionId: string): void;
  /** Returns the refresh token, which is accepted when the access cookie has expired. */
  refreshToken?(ctx: Context): string | undefined;
}

/** Handles a request whose credential and input are valid. Sets `ctx.body`. */
export type EndpointHandler<Kind extends PrincipalKind, Body extends z.ZodType, Query extends z.ZodType> = (
  ctx: Context,
  input: z.output<Body> & z.output<Query>,
  principal: Extract<Principal, { kind: Kind }>,
) => Promise<void> | void;
