/** The roof: what every request passes, then the doors, in order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Router from '@koa/router';
import Koa from 'koa';
import { serviceUnavailable } from './base/app-error.js';
import type { Base } from './base/base.js';
import { createRateLimiter } from './base/rate-limiter.js';
import { VERSION } from './base/version.js';
import type { Core } from './core/core.js';
import { createAccountRouter } from './web/account/account.js';
import { createApiRouter } from './web/api/api.js';
import { createDeviceCookie } from './web/cookies/device-cookie.js';
import { createFederationCookie } from './web/cookies/federation-cookie.js';
import { createLoginCookie } from './web/cookies/login-cookie.js';
import { createDevelopersRouter } from './web/developers/docs.js';
import { createOriginCheck } from './web/endpoints/origin-check.js';
import { createHome } from './web/home.js';
import { createRecordAborted } from './web/http/aborted-responses.js';
import { accessLog, createLogRequest } from './web/http/access-log.js';
import { rejectInvalidUrl } from './web/http/body.js';
import { createClientCertificateReader } from './web/http/client-certificate.js';
import type { State } from './web/http/context.js';
import { cors } from './web/http/cors.js';
import { errorHandler } from './web/http/error-handler.js';
import { createErrorResponses } from './web/http/error-response.js';
import { createApplySecurityHeaders, securityHeaders } from './web/http/security-headers.js';
import { createStaticFiles } from './web/http/static-files.js';
import { createResolveRequestMeta, requestMeta } from './web/http/trusted-proxy.js';
import { createBackchannelLogout } from './web/oidc/backchannel-logout.js';
import { createClientAuthThrottle } from './web/oidc/client-auth-throttle.js';
import { createFastPath } from './web/oidc/fast-path.js';
import { createInteractions } from './web/oidc/interactions/interactions.js';
import { createProviderPages } from './web/oidc/pages/provider-pages.js';
import { createProviders } from './web/oidc/provider/provider.js';
import { createOidcRouter } from './web/oidc/router.js';
import { createAdapters } from './web/oidc/storage/adapter.js';
import { createClientResolver } from './web/oidc/storage/client-resolver.js';
import { createWellKnown } from './web/oidc/well-known.js';
import { createOutboxPage } from './web/outbox.js';
import { createCsrf } from './web/pages/csrf.js';
import { createLoginRedirects } from './web/pages/login-redirect.js';
import { createViews } from './web/pages/views.js';
import { createSignInRouter } from './web/sign-in/sign-in.js';
import { createToolsFastPath } from './web/tools/fast-path.js';
import { createToolsRouter } from './web/tools/tools.js';
import { createValidation } from './web/tools/validation.js';

/** A balancer that asks whether we are ready wants to know soon. */
const RESPONSE_TIMEOUT_MS = 2000;

export type App = Awaited<ReturnType<typeof createApp>>;

/** The whole of HTTP. `settle` waits for what goes on after the answers. */
export async function createApp(base: Base, core: Core) {
  const { config, log, clock, secrets, db, redis, rateLimiter, fetch, mail } = base;
  const { issuer, signup, trustedProxies, brandName } = config;
  const { sessions } = core;

  const files = createStaticFiles();
  const views = createViews({ brandName, assetUrl: files.urlOf });
  const loginCookie = createLoginCookie({ issuer, sessions });
  const deviceCookie = createDeviceCookie({ issuer });
  const federationCookie = createFederationCookie({ issuer });
  const csrf = createCsrf({ issuer, secrets });
  const loginRedirects = createLoginRedirects({ secrets });

  const resolveClient = createClientResolver(core);
  const adapters = createAdapters({ ...core, resolveClient, secrets, clock });
  const pages = createProviderPages({ views });
  const certificates = createClientCertificateReader({ header: config.certificates.header });
  const providers = createProviders({
    config,
    clock,
    core,
    resolveClient,
    secrets,
    fetch,
    adapters,
    pages,
    loginCookie,
    certificates,
    rateLimiter,
    log,
  });
  await providers.current(); // settings that the engine refuses are told at start, not to the first visitor
  const wellKnown = createWellKnown({ ...core, issuer, providers });
  const interactions = createInteractions({ ...core, clock, providers, loginCookie, csrf, loginRedirects, views });
  const floods = createRateLimiter({ kind: 'memory' });
  const clientAuthThrottle = createClientAuthThrottle({ floods });
  const backchannelLogout = createBackchannelLogout({ providers, secrets, log });
  sessions.onRevoked(backchannelLogout.notify);

  const originCheck = createOriginCheck({ issuer, allowedOrigins: config.corsAllowedOrigins });
  const validation = createValidation({ ...core, rateLimiter, points: config.rateLimits.validate });
  const api = createApiRouter({ config, clock, secrets, rateLimiter, originCheck, core });
  const tools = createToolsRouter({ config, clock, rateLimiter, originCheck, validation, core });
  const endpoints = [...api.endpoints, ...tools.endpoints];
  const cookieNames = { ...api.cookieNames, tools: tools.cookieName };
  const described = { issuer, brandName, version: VERSION, endpoints, cookieNames };

  const routers = [
    createHome({ issuer, signup, loginCookie, views, isReady }),
    createOidcRouter({ config, wellKnown, providers, interactions, rateLimiter, floods, clientAuthThrottle }),
    createSignInRouter({
      ...core,
      issuer,
      signup,
      loginCookie,
      deviceCookie,
      federationCookie,
      csrf,
      loginRedirects,
      views,
    }),
    createAccountRouter({
      ...core,
      issuer,
      keySeconds: config.apiKeySeconds,
      clock,
      loginCookie,
      federationCookie,
      csrf,
      loginRedirects,
      views,
    }),
    createDevelopersRouter({ views, assetUrl: files.urlOf, described }),
    api,
    tools,
    createOutboxPage({ config, mail, views }),
  ];
  const roof = new Router<State>({ sensitive: true });
  for (const door of routers) roof.use(door.routes());

  // What no answer may be without, whichever way its request goes.
  const errorResponses = createErrorResponses({ issuer, log });
  const resolveRequestMeta = createResolveRequestMeta({ issuer, trustedProxies, certificates });
  const logRequest = createLogRequest(log);
  const applySecurityHeaders = createApplySecurityHeaders({ issuer });
  const toolsFastPath = createToolsFastPath({
    validation,
    errorResponses,
    certificates,
    resolveRequestMeta,
    logRequest,
    applySecurityHeaders,
    log,
  });
  const fastPath = createFastPath({
    providers,
    clientAuthThrottle,
    resolveRequestMeta,
    logRequest,
    applySecurityHeaders,
    log,
  });

  const koa = new Koa<State>();
  koa.proxy = true; // the headers that it reads then are ours: see middleware/pin-issuer
  koa.use(requestMeta(resolveRequestMeta, certificates));
  koa.use(accessLog(logRequest));
  koa.use(securityHeaders(applySecurityHeaders));
  koa.use(errorHandler({ errorResponses, views }));
  koa.use(cors({ allowedOrigins: config.corsAllowedOrigins }));
  koa.use(rejectInvalidUrl);
  koa.use(files.serve);
  koa.use(roof.routes());
  koa.use(roof.allowedMethods());
  koa.on('error', createRecordAborted(log));

  const handleByKoa = koa.callback();
  return { handle, routes: roof.stack, settle };

  function handle(req: IncomingMessage, res: ServerResponse): void {
    if (wellKnown.tryServe(req, res) || toolsFastPath.tryHandle(req, res) || fastPath.tryHandle(req, res, handleByKoa))
      return;
    void handleByKoa(req, res);
  }

  async function settle(): Promise<void> {
    const services = [backchannelLogout, core.passwordReset, core.upstream, core.tokenRevocation];
    await Promise.all(services.map((room) => room.settle()));
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
      sleep(RESPONSE_TIMEOUT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error('too late'))),
    ]);
  } catch (cause) {
    throw serviceUnavailable(`The ${name} does not answer.`, cause);
  }
}
