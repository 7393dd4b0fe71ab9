/** The door of internal tools and of those who keep them: the *tools* dialect, under /api. */
import type { Clock } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { Core } from '../../core/core.js';
import { createEndpoints } from '../endpoints/endpoint.js';
import type { OriginCheck } from '../endpoints/origin-check.js';
import { createToolsCookie } from './cookie.js';
import { addKeys } from './keys.js';
import { addToolsMe } from './me.js';
import { addRegistry } from './registry.js';
import { addSession } from './session.js';
import { addUsers } from './users.js';
import { addValidate } from './validate.js';
import type { Validation } from './validation.js';

interface Deps {
  config: Config;
  clock: Clock;
  rateLimiter: RateLimiter;
  originCheck: OriginCheck;
  validation: Validation;
  core: Core;
}

export function createToolsRouter({ config, clock, rateLimiter, originCheck, validation, core }: Deps) {
  const { issuer, toolsCookie: name, toolsTokenSeconds: seconds, rateLimits } = config;
  const { credentials } = core;
  const cookie = createToolsCookie({ issuer, name, originCheck });
  const api = createEndpoints({ clock, credentials, browsers: cookie.browsers, rateLimiter, rateLimits });
  addSession({ ...core, api, cookie, seconds });
  addToolsMe({ ...core, api });
  addValidate({ api, cookie, validation });
  addUsers({ ...core, api });
  addRegistry({ ...core, api });
  addKeys({ ...core, api });
  return { routes: () => api.router.routes(), endpoints: api.endpoints, cookieName: name };
}
