/** The roof: what every request passes, then the doors, in order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import Router from '@koa/router';
import Koa from 'koa';
import { serviceUnavailable } from './base/app-error.js';
import type { Base } from './base/base.js';
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
import { createOidcModule } from './web/oidc/module.js';
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
  const { config, log, clock, secrets, db, redis, rateLimiter, mail } = base;
  const { issuer, signup, trustedProxies, brandName } = config;

  const files = createStaticFiles();
  const views = createViews({ brandName, assetUrl: files.urlOf });
  const loginCookie = createLoginCookie({ issuer, sessions: core.sessions });
  const deviceCookie = createDeviceCookie({ issuer });
  const federationCookie = createFederationCookie({ issuer });
  const csrf = createCsrf({ issuer, secrets });
  const loginRedirects = createLoginRedirects({ secrets });

  const certificates = createClientCertificateReader({ header: config.certificates.header });
  const errorResponses = createErrorResponses({ issuer, log });
  // What no answer may be without, whichever way its request goes.
  const pipeline = {
    resolveRequestMeta: createResolveRequestMeta({ issuer, trustedProxies, certificates }),
    logRequest: createLogRequest(log),
    applySecurityHeaders: createApplySecurityHeaders({ issuer }),
  };
  const oidc = await createOidcModule(base, core, {
    views,
    loginCookie,
    csrf,
    loginRedirects,
    certificates,
    pipeline,
  });

  const originCheck = createOriginCheck({ issuer, allowedOrigins: config.corsAllowedOrigins });
  const validation = createValidation({ ...core, rateLimiter, points: config.rateLimits.validate });
  const api = createApiRouter({ config, clock, secrets, rateLimiter, originCheck, core });
  const tools = createToolsRouter({ config, clock, rateLimiter, originCheck, validation, core });
  const endpoints = [...api.endpoints, ...tools.endpoints];
  const cookieNames = { ...api.cookieNames, tools: tools.cookieName };
  const described = { issuer, brandName, version: VERSION, endpoints, cookieNames };

  const routers = [
    createHome({ issuer, signup, loginCookie, views, isReady }),
    oidc.router,
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

  const toolsFastPath = createToolsFastPath({ validation, errorResponses, certificates, ...pipeline, log });

  const koa = new Koa<State>();
  koa.proxy = true; // the headers that it reads then are ours: see middleware/pin-issuer
  koa.use(requestMeta(pipeline.resolveRequestMeta, certificates));
  koa.use(accessLog(pipeline.logRequest));
  koa.use(securityHeaders(pipeline.applySecurityHeaders));
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
    if (toolsFastPath.tryHandle(req, res) || oidc.tryHandle(req, res, handleByKoa)) return;
    void handleByKoa(req, res);
  }

  async function settle(): Promise<void> {
    const services = [base.background, core.passwordReset, core.upstream, core.tokenRevocation];
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
