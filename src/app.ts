/** The HTTP application: the pipeline, then the direct routes, then the routers, in order. */
import Router from '@koa/router';
import Koa from 'koa';
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
import { rejectInvalidUrl } from './web/http/body.js';
import { createClientCertificateReader } from './web/http/client-certificate.js';
import type { State } from './web/http/context.js';
import { createCors } from './web/http/cors.js';
import { createErrorHandler } from './web/http/error-handler.js';
import { createErrorResponses } from './web/http/error-response.js';
import { createPipeline } from './web/http/pipeline.js';
import { createResponseErrorLogger } from './web/http/response-errors.js';
import { createSecurityHeaders } from './web/http/security-headers.js';
import { createStaticFiles } from './web/http/static-files.js';
import { createOidcModule } from './web/oidc/module.js';
import { createOutboxPage } from './web/outbox.js';
import { createCsrf } from './web/pages/csrf.js';
import { createFormNavigation } from './web/pages/form-navigation.js';
import { createLoginRedirects } from './web/pages/login-redirect.js';
import { createViews } from './web/pages/views.js';
import { createReadiness } from './web/readiness.js';
import { createSignInRouter } from './web/sign-in/sign-in.js';
import { createToolsModule } from './web/tools/tools.js';

export type App = Awaited<ReturnType<typeof createApp>>;

/** Creates the request listener. */
export async function createApp(base: Base, core: Core) {
  const { config, log, clock, secrets, mailer } = base;
  const { issuer, signup, brandName } = config;

  const files = createStaticFiles();
  const views = createViews({ brandName, assetUrl: files.urlOf });
  const formNavigation = createFormNavigation({ issuer, views });
  const cookies = {
    loginCookie: createLoginCookie({ issuer, sessions: core.sessions }),
    deviceCookie: createDeviceCookie({ issuer }),
    federationCookie: createFederationCookie({ issuer }),
  };
  const shared = {
    ...cookies,
    csrf: createCsrf({ issuer, secrets }),
    loginRedirects: createLoginRedirects({ secrets }),
    formNavigation,
    views,
    certificates: createClientCertificateReader({ header: config.certificates.header }),
    originCheck: createOriginCheck({ issuer, allowedOrigins: config.corsAllowedOrigins }),
  };

  const oidc = await createOidcModule(base, core, shared);
  const api = createApiRouter({ ...base, ...shared, core });
  const tools = createToolsModule({ ...base, ...shared, core });
  const endpoints = [...api.endpoints, ...tools.endpoints];
  const cookieNames = { ...api.cookieNames, tools: tools.cookieName };
  const described = { issuer, brandName, version: VERSION, endpoints, cookieNames };

  const router = new Router<State>({ sensitive: true });
  for (const each of [
    createHome({ issuer, signup, ...shared, readiness: createReadiness(base) }),
    oidc.router,
    createSignInRouter({ ...core, ...shared, issuer, signup }),
    createAccountRouter({ ...core, ...shared, issuer, clock, defaultKeyLifetimeSeconds: config.apiKeySeconds }),
    createDevelopersRouter({ views, assetUrl: files.urlOf, described }),
    api,
    tools,
    createOutboxPage({ config, mailer, views }),
  ])
    router.use(each.routes());

  const errorResponses = createErrorResponses({ issuer, log });
  const securityHeaders = createSecurityHeaders({ issuer });
  const pipeline = createPipeline({ ...base, ...shared, securityHeaders, errorResponses });

  const koa = new Koa<State>();
  koa.proxy = true; // the pipeline has overwritten the forwarding headers that Koa reads
  koa.use(pipeline.setState);
  koa.use(securityHeaders.keepOnError);
  koa.use(createErrorHandler({ errorResponses, views }));
  koa.use(createCors({ allowedOrigins: config.corsAllowedOrigins }));
  koa.use(rejectInvalidUrl);
  koa.use(files.serve);
  koa.use(formNavigation.continueByNavigation);
  koa.use(router.routes());
  koa.use(router.allowedMethods());
  koa.on('error', createResponseErrorLogger(log));

  const directRoutes = [...oidc.directRoutes, ...tools.directRoutes];
  const handle = pipeline.listener(directRoutes, koa.callback());
  return { handle, routes: router.stack, directRoutes };
}
