/** The roof: what every request passes, then the doors, in order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Router from '@koa/router';
import Koa from 'koa';
import { unavailable } from './base/app-error.js';
import type { Base } from './base/base.js';
import { createLimits } from './base/rate-limiter.js';
import { VERSION } from './base/version.js';
import type { Core } from './core/core.js';
import { createAccountDoor } from './web/account/account.js';
import { createApiDoor } from './web/api/api.js';
import { createDeviceCookie } from './web/cookies/device-cookie.js';
import { createFederationCookie } from './web/cookies/federation-cookie.js';
import { createLoginCookie } from './web/cookies/login-cookie.js';
import { createDocsDoor } from './web/developers/docs.js';
import { createSameOrigin } from './web/endpoints/origin-check.js';
import { createHome } from './web/home.js';
import { createTellUnsent } from './web/http/aborted-responses.js';
import { createLogRequest, logRequests } from './web/http/access-log.js';
import { refuseUnstorableAddress } from './web/http/body.js';
import { createShownCertificates } from './web/http/client-certificate.js';
import type { State } from './web/http/context.js';
import { crossOrigin } from './web/http/cors.js';
import { answerFailures } from './web/http/error-handler.js';
import { createFailures } from './web/http/error-response.js';
import { createDressAnswer, securityHeaders } from './web/http/security-headers.js';
import { createStaticFiles } from './web/http/static-files.js';
import { createPinRequest, pinIssuer } from './web/http/trusted-proxy.js';
import { createBackchannelLogout } from './web/oidc/backchannel-logout.js';
import { createGuesses } from './web/oidc/client-auth-throttle.js';
import { createStraightWay } from './web/oidc/fast-path.js';
import { createInteractions } from './web/oidc/interactions/interactions.js';
import { createProviderPages } from './web/oidc/pages/provider-pages.js';
import { createProviders } from './web/oidc/provider/provider.js';
import { createOidcDoor } from './web/oidc/router.js';
import { createAdapters } from './web/oidc/storage/adapter.js';
import { createLookUp } from './web/oidc/storage/client-resolver.js';
import { createDocuments } from './web/oidc/well-known.js';
import { createOutboxPage } from './web/outbox.js';
import { createCsrf } from './web/pages/csrf.js';
import { createErrands } from './web/pages/login-redirect.js';
import { createViews } from './web/pages/views.js';
import { createSignInDoor } from './web/sign-in/sign-in.js';
import { createStraightValidation } from './web/tools/fast-path.js';
import { createToolsDoor } from './web/tools/tools.js';
import { createValidation } from './web/tools/validation.js';

/** A balancer that asks whether we are ready wants to know soon. */
const ANSWER_WITHIN_MS = 2000;

export type App = Awaited<ReturnType<typeof createApp>>;

/** The whole of HTTP. `settle` waits for what goes on after the answers. */
export async function createApp(base: Base, core: Core) {
  const { config, log, clock, secrets, db, redis, limits, fetch, mail } = base;
  const { issuer, signup, trustedProxies, brandName } = config;
  const { sessions } = core;

  const files = createStaticFiles();
  const views = createViews({ brandName, assetUrl: files.urlOf });
  const loginCookie = createLoginCookie({ issuer, sessions });
  const deviceCookie = createDeviceCookie({ issuer });
  const federationCookie = createFederationCookie({ issuer });
  const csrf = createCsrf({ issuer, secrets });
  const errands = createErrands({ secrets });

  const lookUp = createLookUp(core);
  const adapters = createAdapters({ ...core, lookUp, secrets, clock });
  const pages = createProviderPages({ views });
  const certificates = createShownCertificates({ header: config.certificates.header });
  const providers = createProviders({
    config,
    clock,
    core,
    lookUp,
    secrets,
    fetch,
    adapters,
    pages,
    loginCookie,
    certificates,
    limits,
    log,
  });
  await providers.current(); // settings that the engine refuses are told at start, not to the first visitor
  const documents = createDocuments({ ...core, issuer, providers });
  const interactions = createInteractions({ ...core, clock, providers, loginCookie, csrf, errands, views });
  const floods = createLimits({ kind: 'memory' });
  const guesses = createGuesses({ floods });
  const backchannelLogout = createBackchannelLogout({ providers, secrets, log });
  sessions.onEnded(backchannelLogout.tell);

  const sameOrigin = createSameOrigin({ issuer, allowedOrigins: config.corsAllowedOrigins });
  const validation = createValidation({ ...core, limits, points: config.rateLimits.validate });
  const api = createApiDoor({ config, clock, secrets, limits, sameOrigin, core });
  const tools = createToolsDoor({ config, clock, limits, sameOrigin, validation, core });
  const endpoints = [...api.endpoints, ...tools.endpoints];
  const cookieNames = { ...api.cookieNames, tools: tools.cookieName };
  const described = { issuer, brandName, version: VERSION, endpoints, cookieNames };

  const doors = [
    createHome({ issuer, signup, loginCookie, views, isReady }),
    createOidcDoor({ config, documents, providers, interactions, limits, floods, guesses }),
    createSignInDoor({ ...core, issuer, signup, loginCookie, deviceCookie, federationCookie, csrf, errands, views }),
    createAccountDoor({
      ...core,
      issuer,
      keySeconds: config.apiKeySeconds,
      clock,
      loginCookie,
      federationCookie,
      csrf,
      errands,
      views,
    }),
    createDocsDoor({ views, assetUrl: files.urlOf, described }),
    api,
    tools,
    createOutboxPage({ config, mail, views }),
  ];
  const roof = new Router<State>({ sensitive: true });
  for (const door of doors) roof.use(door.routes());

  // What no answer may be without, whichever way its request goes.
  const failures = createFailures({ issuer, log });
  const pinRequest = createPinRequest({ issuer, trustedProxies, certificates });
  const logRequest = createLogRequest(log);
  const dressAnswer = createDressAnswer({ issuer });
  const straightValidation = createStraightValidation({
    validation,
    failures,
    certificates,
    pinRequest,
    logRequest,
    dressAnswer,
    log,
  });
  const straightWay = createStraightWay({ providers, guesses, pinRequest, logRequest, dressAnswer, log });

  const koa = new Koa<State>();
  koa.proxy = true; // the headers that it reads then are ours: see middleware/pin-issuer
  koa.use(pinIssuer(pinRequest, certificates));
  koa.use(logRequests(logRequest));
  koa.use(securityHeaders(dressAnswer));
  koa.use(answerFailures({ failures, views }));
  koa.use(crossOrigin({ allowedOrigins: config.corsAllowedOrigins }));
  koa.use(refuseUnstorableAddress);
  koa.use(files.serve);
  koa.use(roof.routes());
  koa.use(roof.allowedMethods());
  koa.on('error', createTellUnsent(log));

  const handleByKoa = koa.callback();
  return { handle, routes: roof.stack, settle };

  function handle(req: IncomingMessage, res: ServerResponse): void {
    if (
      documents.answerAtOnce(req, res) ||
      straightValidation.take(req, res) ||
      straightWay.take(req, res, handleByKoa)
    )
      return;
    void handleByKoa(req, res);
  }

  async function settle(): Promise<void> {
    const rooms = [backchannelLogout, core.recovery, core.upstream, core.giveBack];
    await Promise.all(rooms.map((room) => room.settle()));
  }

  async function isReady(): Promise<void> {
    await answers('database', () => db.$queryRaw`SELECT 1`);
    if (redis) await answers('Redis', () => redis.ping());
  }
}

async function answers(name: string, question: () => Promise<unknown>): Promise<void> {
  try {
    await Promise.race([
      question(),
      sleep(ANSWER_WITHIN_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('too late'))),
    ]);
  } catch (cause) {
    throw unavailable(`The ${name} does not answer.`, cause);
  }
}
