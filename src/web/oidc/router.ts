/** The routes of OAuth and OpenID Connect: passed to oidc-provider or served from memory. */

import Router from '@koa/router';
import type { Next } from 'koa';
import { AppError, invalidRequest, withBound } from '../../base/app-error.js';
import type { Config } from '../../base/config.js';
import { rateLimitKey } from '../../base/ip-address.js';
import { LIMITS } from '../../base/limits.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import { hostCookie } from '../cookies/cookies.js';
import { parseForm, readText } from '../http/body.js';
import type { Context, State } from '../http/context.js';
import { keepOpener } from '../http/security-headers.js';
import { seeOther } from '../http/see-other.js';
import type { createInteractions } from './interactions/interactions.js';
import { MAX_BODY_BYTES, ROUTES } from './paths.js';
import { CLIENT_ENDPOINTS, type ProviderEndpoints } from './provider-endpoints.js';
import { WELL_KNOWN_PATHS, type WellKnown } from './well-known.js';

interface Deps {
  config: Pick<Config, 'issuer' | 'registration'>;
  wellKnown: WellKnown;
  interactions: ReturnType<typeof createInteractions>;
  rateLimiter: RateLimiter;
  /** Counts per process, because a shared counter would cost more than the request itself. */
  processRateLimiter: RateLimiter;
  endpoints: ProviderEndpoints;
}

const REGISTRATION_LIMIT = LIMITS['client-registration'];
const USER_CODE_LIMIT = LIMITS['device-user-code'];
/** For requests that store an interaction, a pushed authorization request or a device code. */
const INTERACTION_LIMIT = LIMITS.authorization;
const MAX_URL_LENGTH = 8 * 1024;

export function createOidcRouter({
  config,
  wellKnown,
  interactions,
  rateLimiter,
  processRateLimiter,
  endpoints,
}: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true, strict: true });
  const { registration } = ROUTES;
  const { checkBody, throttleClientAuth, toProvider } = endpoints;
  const sessionCookie = hostCookie(config.issuer, 'signet_op').name;

  for (const [path, name] of Object.entries(WELL_KNOWN_PATHS))
    router.get(path, wellKnown.handlerFor(name)).options(path, allowAnyOrigin, preflight);

  router.get(ROUTES.authorization, keepOpenerForPopups, limitPerProcess, toProvider);
  router.post(ROUTES.authorization, keepOpenerForPopups, redirectToGet);
  router.get(`${ROUTES.authorization}/:uid`, keepOpenerForPopups, removeQuery, toProvider);
  router.get('/interaction/:uid', interactions.showNextStep);
  router.post('/interaction/:uid', parseForm, interactions.submitDecision);

  for (const path of CLIENT_ENDPOINTS) {
    router.post(path, checkBody, throttleClientAuth, toProvider).options(path, toProvider);
  }
  for (const path of [ROUTES.pushed_authorization_request, ROUTES.device_authorization]) {
    router.post(path, checkBody, throttleClientAuth, limitPerProcess, toProvider).options(path, toProvider);
  }
  router.post(ROUTES.backchannel_authentication, checkBody, throttleClientAuth, limitPerProcess, toProvider); // not from browsers, so no CORS
  router
    .get(ROUTES.userinfo, toProvider)
    .post(ROUTES.userinfo, checkBody, toProvider)
    .options(ROUTES.userinfo, toProvider);

  if (config.registration !== 'closed') addRegistration(); // otherwise the provider has no such routes

  router.get(ROUTES.code_verification, toProvider);
  router.post(ROUTES.code_verification, checkBody, restartExpiredInteraction, limitUserCodes, toProvider);
  router.get(`${ROUTES.code_verification}/:uid`, toProvider);

  router.get(ROUTES.end_session, toProvider).post(ROUTES.end_session, redirectToGet);
  router.post(`${ROUTES.end_session}/confirm`, checkBody, toProvider);
  router.get(`${ROUTES.end_session}/success`, toProvider);
  return router;

  function addRegistration(): void {
    router
      .post(registration, allowAnyOrigin, checkBody, limitRegistrations, toProvider)
      .options(registration, allowAnyOrigin, preflight);
    const clientPath = `${registration}/:clientId`;
    router
      .get(clientPath, allowAnyOrigin, toProvider)
      .put(clientPath, allowAnyOrigin, checkBody, toProvider)
      .delete(clientPath, allowAnyOrigin, toProvider)
      .options(clientPath, allowAnyOrigin, preflight);
  }

  async function limitRegistrations(ctx: Context, next: Next): Promise<void> {
    await rateLimiter.consume(REGISTRATION_LIMIT, rateLimitKeyOf(ctx));
    await next();
  }

  /** Limits attempts, because user codes are short enough to guess (RFC 8628, 5.1). */
  async function limitUserCodes(ctx: Context, next: Next): Promise<void> {
    await rateLimiter.consume(USER_CODE_LIMIT, rateLimitKeyOf(ctx));
    await next();
  }

  /** Shows the form again if the browser has lost the session cookie that belongs to it. */
  async function restartExpiredInteraction(ctx: Context, next: Next): Promise<void> {
    const isForm = ctx.request.length !== undefined; // browsers always send the length of a form
    if (isForm && !ctx.cookies.get(sessionCookie, { signed: false })) return seeOther(ctx, ROUTES.code_verification);
    await next();
  }

  /** Limits requests that need no authentication and store something. */
  async function limitPerProcess(ctx: Context, next: Next): Promise<void> {
    if (ctx.url.length > MAX_URL_LENGTH) {
      const message = `A URL can have at most ${MAX_URL_LENGTH} characters. Use a pushed authorization request (RFC 9126).`;
      throw withBound('URL', invalidRequest(message));
    }
    await processRateLimiter.consume(INTERACTION_LIMIT, rateLimitKeyOf(ctx));
    await next();
  }
}

const rateLimitKeyOf = (ctx: Context) => rateLimitKey(ctx.state.meta.address);

/** Keeps `window.opener` in the first and the last step of a sign-in, which can be in a popup. */
async function keepOpenerForPopups(ctx: Context, next: Next): Promise<void> {
  keepOpener(ctx);
  await next();
}

/** Removes the query, because a `client_id` in it makes the provider's error handler fail. */
async function removeQuery(ctx: Context, next: Next): Promise<void> {
  ctx.url = ctx.path;
  await next();
}

/** Allows every origin, for public documents and registration. */
async function allowAnyOrigin(ctx: Context, next: Next): Promise<void> {
  ctx.set('Access-Control-Allow-Origin', '*');
  await next();
}

function preflight(ctx: Context): void {
  ctx.set('Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE');
  ctx.set('Access-Control-Allow-Headers', 'Authorization, Content-Type, MCP-Protocol-Version');
  ctx.set('Access-Control-Max-Age', '3600');
  ctx.status = 204;
}

/**
 * Redirects a form POST to the same request with GET (OIDC Core 3.1.2.1 requires POST as well). A
 * cross-site POST lacks our SameSite=Lax cookies; the GET has them.
 */
async function redirectToGet(ctx: Context): Promise<void> {
  if (!ctx.is('urlencoded')) {
    throw new AppError(415, 'unsupported_media_type', 'Send a form (application/x-www-form-urlencoded).');
  }
  const form = new URLSearchParams(await readText(ctx, MAX_BODY_BYTES));
  seeOther(ctx, `${ctx.path}?${form}`);
}
