/**
 * The door of relying parties: every address of OAuth and OpenID Connect, handed to the protocol
 * engine or answered from memory.
 */
import Router from '@koa/router';
import type { Next } from 'koa';
import { AppError, invalidRequest } from '../../base/app-error.js';
import { HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import { rateLimitKey } from '../../base/ip-address.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
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
  /** Counts in this process only: a shared counter would cost more than the request it counts. */
  processRateLimiter: RateLimiter;
  endpoints: ProviderEndpoints;
}

const REGISTRATION_LIMIT: Limit = { name: 'client-registration', points: 60, seconds: HOUR_SECONDS };
const USER_CODE_LIMIT: Limit = { name: 'device-user-code', points: 30, seconds: 10 * MINUTE_SECONDS };
/** Authorizations, pushed ones and device codes that are begun: each is stored for a while. */
const INTERACTION_LIMIT: Limit = { name: 'authorization', points: 600, seconds: MINUTE_SECONDS };
const MAX_URL_LENGTH = 8 * 1024;

export function createOidcRouter({
  config,
  wellKnown,
  interactions,
  rateLimiter,
  processRateLimiter,
  endpoints,
}: Deps): Router<State> {
  const router = new Router<State>({ sensitive: true });
  const { registration } = ROUTES;
  const { checkBody, throttleClientAuth, toProvider } = endpoints;
  const sessionCookie = hostCookie(config.issuer, 'signet_op').name;

  for (const path of Object.keys(WELL_KNOWN_PATHS))
    router.get(path, wellKnown.handler).options(path, allowAnyOrigin, preflight);

  router.get(ROUTES.authorization, keepOpenerForPopups, limitPerProcess, toProvider);
  router.post(ROUTES.authorization, keepOpenerForPopups, asQuery);
  router.get(`${ROUTES.authorization}/:uid`, keepOpenerForPopups, withoutQuery, toProvider);
  router.get('/interaction/:uid', interactions.decide);
  router.post('/interaction/:uid', parseForm, interactions.answer);

  for (const path of CLIENT_ENDPOINTS) {
    router.post(path, checkBody, throttleClientAuth, toProvider).options(path, toProvider);
  }
  for (const path of [ROUTES.pushed_authorization_request, ROUTES.device_authorization]) {
    router.post(path, checkBody, throttleClientAuth, limitPerProcess, toProvider).options(path, toProvider);
  }
  router.post(ROUTES.backchannel_authentication, checkBody, throttleClientAuth, limitPerProcess, toProvider); // never from a page
  router
    .get(ROUTES.userinfo, toProvider)
    .post(ROUTES.userinfo, checkBody, toProvider)
    .options(ROUTES.userinfo, toProvider);

  if (config.registration !== 'closed') addRegistration(); // elsewhere the provider has no such routes

  router.get(ROUTES.code_verification, toProvider);
  router.post(ROUTES.code_verification, checkBody, restartExpiredInteraction, limitUserCodes, toProvider);
  router.get(`${ROUTES.code_verification}/:uid`, toProvider);

  router.get(ROUTES.end_session, toProvider).post(ROUTES.end_session, asQuery);
  router.post(`${ROUTES.end_session}/confirm`, checkBody, toProvider);
  router.get(`${ROUTES.end_session}/success`, toProvider);
  return router;

  function addRegistration(): void {
    router
      .post(registration, allowAnyOrigin, checkBody, limitRegistrations, toProvider)
      .options(registration, allowAnyOrigin, preflight);
    const one = `${registration}/:clientId`;
    router
      .get(one, allowAnyOrigin, toProvider)
      .put(one, allowAnyOrigin, checkBody, toProvider)
      .delete(one, allowAnyOrigin, toProvider)
      .options(one, allowAnyOrigin, preflight);
  }

  async function limitRegistrations(ctx: Context, next: Next): Promise<void> {
    await rateLimiter.consume(REGISTRATION_LIMIT, networkOf(ctx));
    await next();
  }

  /** A code that is typed in has few bits: whoever tries many is slowed down (RFC 8628, 5.1). */
  async function limitUserCodes(ctx: Context, next: Next): Promise<void> {
    await rateLimiter.consume(USER_CODE_LIMIT, networkOf(ctx));
    await next();
  }

  /** A form from a page that this browser no longer knows cannot be answered, only shown again. */
  async function restartExpiredInteraction(ctx: Context, next: Next): Promise<void> {
    const isForm = ctx.request.length !== undefined; // no browser sends one without saying how long it is
    if (isForm && !ctx.cookies.get(sessionCookie, { signed: false })) return seeOther(ctx, ROUTES.code_verification);
    await next();
  }

  /** For what anybody may ask, and what is stored for each who asks. */
  async function limitPerProcess(ctx: Context, next: Next): Promise<void> {
    if (ctx.url.length > MAX_URL_LENGTH) {
      throw invalidRequest('The request is too long for an address; push it first (RFC 9126).');
    }
    await processRateLimiter.consume(INTERACTION_LIMIT, networkOf(ctx));
    await next();
  }
}

const networkOf = (ctx: Context) => rateLimitKey(ctx.state.meta.address);

/** The first and the last step of an app's sign-in, which the app may have opened in a popup. */
async function keepOpenerForPopups(ctx: Context, next: Next): Promise<void> {
  keepOpener(ctx);
  await next();
}

/**
 * The way back into an authorization is in the path alone. A client's name in the query makes the
 * provider's error handler fail.
 */
async function withoutQuery(ctx: Context, next: Next): Promise<void> {
  ctx.url = ctx.path;
  await next();
}

/** Documents that anybody may read from anywhere. */
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
 * OIDC Core 3.1.2.1 wants POST here too. A form from another site comes without our SameSite=Lax
 * cookies; turned into a GET it is an ordinary request, cookies included.
 */
async function asQuery(ctx: Context): Promise<void> {
  if (!ctx.is('urlencoded')) {
    throw new AppError(415, 'unsupported_media_type', 'Send a form (application/x-www-form-urlencoded).');
  }
  const form = new URLSearchParams(await readText(ctx, MAX_BODY_BYTES));
  seeOther(ctx, `${ctx.path}?${form}`);
}
