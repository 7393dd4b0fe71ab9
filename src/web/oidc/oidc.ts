/** The door of relying parties: every address of OAuth and OpenID Connect, handed to the protocol engine or answered from memory. */
import Router from '@koa/router';
import type { Next } from 'koa';
import { HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { payloadTooLarge, Refusal } from '../../base/errors.js';
import type { Limit, Limits } from '../../base/limits.js';
import { formBody } from '../input.js';
import { keepOpener } from '../middleware/security-headers.js';
import { seeOther } from '../see-other.js';
import type { Context, State } from '../state.js';
import { DOCUMENTS, type Documents } from './documents.js';
import type { createInteractions } from './interactions.js';
import type { Providers } from './provider.js';
import { ROUTES, TOKEN_ALIAS } from './routes.js';

interface Needs {
  documents: Documents;
  providers: Providers;
  interactions: ReturnType<typeof createInteractions>;
  limits: Limits;
}

const REGISTRATIONS: Limit = { name: 'client-registration', points: 60, seconds: HOUR_SECONDS };
const WRONG_SECRETS: Limit = { name: 'client-authentication', points: 60, seconds: 5 * MINUTE_SECONDS };
const WRONG_USER_CODES: Limit = { name: 'device-user-code', points: 30, seconds: 10 * MINUTE_SECONDS };
const MAX_REMEMBERED = 10_000;
const MAX_BODY_BYTES = 56 * 1024;

export function createOidcDoor({ documents, providers, interactions, limits }: Needs): Router<State> {
  const router = new Router<State>();
  const { registration } = ROUTES;

  for (const path of Object.keys(DOCUMENTS)) router.get(path, documents.answer).options(path, openToAll, preflight);

  router.get(ROUTES.authorization, perhapsInPopup, toProvider);
  router.post(ROUTES.authorization, perhapsInPopup, limitBody, asQuery);
  router.get(`${ROUTES.authorization}/:uid`, perhapsInPopup, toProvider);
  router.get('/interaction/:uid', interactions.decide);
  router.post('/interaction/:uid', formBody, interactions.answer);

  for (const path of [
    ROUTES.token,
    TOKEN_ALIAS,
    ROUTES.introspection,
    ROUTES.revocation,
    ROUTES.pushed_authorization_request,
    ROUTES.device_authorization,
  ]) {
    router.post(path, limitBody, limitGuessing(WRONG_SECRETS, 401), toProvider).options(path, toProvider);
  }
  router
    .get(ROUTES.userinfo, toProvider)
    .post(ROUTES.userinfo, limitBody, toProvider)
    .options(ROUTES.userinfo, toProvider);

  router
    .post(registration, openToAll, limitBody, limitRegistrations, toProvider)
    .options(registration, openToAll, preflight);
  const one = `${registration}/:clientId`;
  router.get(one, toProvider).put(one, limitBody, toProvider).delete(one, toProvider);

  router.get(ROUTES.code_verification, toProvider);
  router.post(ROUTES.code_verification, limitBody, limitUserCodes, toProvider);
  router.get(`${ROUTES.code_verification}/:uid`, toProvider);

  router.get(ROUTES.end_session, toProvider).post(ROUTES.end_session, limitBody, asQuery);
  router.post(`${ROUTES.end_session}/confirm`, limitBody, toProvider);
  router.get(`${ROUTES.end_session}/success`, toProvider);
  return router;

  /** From here on the provider answers by itself, on the raw request, with no body parsed. */
  async function toProvider(ctx: Context): Promise<void> {
    const { handleMain, handleAlias } = await providers.current();
    ctx.respond = false;
    ctx.status = 404; // Koa's own default, which the provider's context starts from
    await (ctx.path === TOKEN_ALIAS ? handleAlias : handleMain)(ctx.req, ctx.res);
  }

  async function limitRegistrations(ctx: Context, next: Next): Promise<void> {
    await limits.spend(REGISTRATIONS, ctx.state.caller.address);
    await next();
  }

  /** A code that is typed in has few bits: whoever tries many is slowed down (RFC 8628, 5.1). */
  async function limitUserCodes(ctx: Context, next: Next): Promise<void> {
    await limits.spend(WRONG_USER_CODES, ctx.state.caller.address);
    await next();
  }

  /**
   * Counts answers of one status for an address, and refuses further requests once there were too many. The shared counter is asked
   * only about addresses that failed in this very process a moment ago: the honest ones cost nothing.
   */
  function limitGuessing(limit: Limit, status: number) {
    const failedAt = new Map<string, number>();

    return async function limitGuesses(ctx: Context, next: Next): Promise<void> {
      const { address } = ctx.state.caller;
      if (Date.now() - (failedAt.get(address) ?? 0) < limit.seconds * 1000) await limits.refuseIfSpent(limit, address);
      await next();
      if (ctx.res.statusCode !== status) return;
      if (failedAt.size >= MAX_REMEMBERED) failedAt.clear();
      failedAt.set(address, Date.now());
      await limits.spend(limit, address).catch(() => {}); // answered already
    };
  }
}

/** The first and the last step of an app's sign-in, which the app may have opened in a popup. */
async function perhapsInPopup(ctx: Context, next: Next): Promise<void> {
  keepOpener(ctx);
  await next();
}

/** Documents that anybody may read from anywhere. */
async function openToAll(ctx: Context, next: Next): Promise<void> {
  ctx.set('Access-Control-Allow-Origin', '*');
  await next();
}

function preflight(ctx: Context): void {
  ctx.set('Access-Control-Allow-Methods', 'GET, POST');
  ctx.set('Access-Control-Allow-Headers', 'Authorization, Content-Type, MCP-Protocol-Version');
  ctx.set('Access-Control-Max-Age', '3600');
  ctx.status = 204;
}

async function limitBody(ctx: Context, next: Next): Promise<void> {
  if ((ctx.request.length ?? 0) > MAX_BODY_BYTES) {
    ctx.set('Connection', 'close');
    throw payloadTooLarge('The body is too large.');
  }
  await next();
}

/**
 * OIDC Core 3.1.2.1 wants POST here too. A form from another site comes without our SameSite=Lax cookies; turned into a GET it
 * is an ordinary request, cookies included.
 */
async function asQuery(ctx: Context): Promise<void> {
  if (!ctx.is('urlencoded'))
    throw new Refusal(415, 'unsupported_media_type', 'Send a form (application/x-www-form-urlencoded).');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of ctx.req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw payloadTooLarge('The body is too large.');
    chunks.push(chunk);
  }
  const form = Buffer.concat(chunks).toString();
  seeOther(ctx, `${ctx.path}?${new URLSearchParams(form)}`);
}
