/** The tools API, under /api: for internal tools and their administrators. */
import type { Clock } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { Core } from '../../core/core.js';
import { createEndpoints } from '../endpoints/endpoints.js';
import type { OriginCheck } from '../endpoints/origin-check.js';
import type { ClientCertificateReader } from '../http/client-certificate.js';
import { createToolsCookie } from './cookie.js';
import { createDirectValidate } from './direct-validate.js';
import { addApiKeys } from './keys.js';
import { addToolsMe } from './me.js';
import { addRegistry } from './registry.js';
import { addSession } from './session.js';
import { addUsers } from './users.js';
import { addValidate } from './validate.js';
import { createValidation } from './validation.js';

interface Deps {
  config: Config;
  clock: Clock;
  rateLimiter: RateLimiter;
  originCheck: OriginCheck;
  certificates: ClientCertificateReader;
  core: Core;
}

export function createToolsModule({ config, clock, rateLimiter, originCheck, certificates, core }: Deps) {
  const { issuer, toolsCookie: cookieName, toolsTokenSeconds: sessionSeconds, rateLimits } = config;
  const { credentials } = core;
  const validation = createValidation({ ...core, rateLimiter, requestsPerMinute: rateLimits.validate });
  const cookie = createToolsCookie({ issuer, name: cookieName, originCheck });
  const api = createEndpoints({
    clock,
    credentials,
    cookieAuth: cookie.authentication,
    rateLimiter,
    rateLimits,
  });
  addSession({ ...core, api, cookie, sessionSeconds });
  addToolsMe({ ...core, api });
  addValidate({ api, cookie, validation });
  addUsers({ ...core, api });
  addRegistry({ ...core, api });
  addApiKeys({ ...core, api });
  return {
    routes: () => api.router.routes(),
    endpoints: api.endpoints,
    cookieName,
    directRoutes: [createDirectValidate({ validation, certificates })],
  };
}
