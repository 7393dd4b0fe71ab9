/** The JSON API for programs, under /api/v1. */
import type { Clock } from '../../base/clock.js';
import type { Config } from '../../base/config.js';
import type { Secrets } from '../../base/crypto.js';
import type { RateLimiter } from '../../base/rate-limiter.js';
import type { Core } from '../../core/core.js';
import { createEndpoints } from '../endpoints/endpoints.js';
import type { OriginCheck } from '../endpoints/origin-check.js';
import { addAgents } from './agents.js';
import { addApiKeys } from './api-keys.js';
import { addApprovals } from './approvals.js';
import { addAuth } from './auth.js';
import { createApiCookies } from './cookies.js';
import { addFederation } from './federation.js';
import { addInvitations } from './invitations.js';
import { addMe } from './me.js';
import { addMfa } from './mfa.js';
import { addOrganizations } from './organizations.js';
import { addProxyLogin } from './proxy-login.js';
import { addRecovery } from './recovery.js';
import { addResources } from './resources.js';
import { createUserSerializer } from './schemas.js';
import { addTestAuth } from './test-auth.js';

interface Deps {
  config: Config;
  clock: Clock;
  secrets: Secrets;
  rateLimiter: RateLimiter;
  originCheck: OriginCheck;
  core: Core;
}

export function createApiRouter({ config, clock, secrets, rateLimiter, originCheck, core }: Deps) {
  const { issuer, signup, apiCookiePrefix: prefix, cookieAccessSeconds: accessSeconds, rateLimits } = config;
  const { tokens, credentials } = core;
  const cookies = createApiCookies({ issuer, secrets, tokens, prefix, accessSeconds, originCheck });
  const api = createEndpoints({
    clock,
    credentials,
    cookieAuth: cookies.authentication,
    rateLimiter,
    rateLimits,
  });
  const userSerializer = createUserSerializer(core);
  addAuth({ ...core, api, cookies, userSerializer, signup });
  addProxyLogin({ ...core, api, userSerializer });
  addFederation({ ...core, api, userSerializer });
  addMe({ ...core, api });
  addMfa({ ...core, api });
  addApiKeys({ ...core, api, defaultLifetimeSeconds: config.apiKeySeconds });
  addAgents({
    ...core,
    ...{ api, issuer, rateLimiter, onboarding: config.agentOnboarding, onboardingToken: config.agentOnboardingToken },
  });
  addOrganizations({ ...core, api });
  addInvitations({ ...core, api });
  addResources({ ...core, api });
  addApprovals({ ...core, api });
  addRecovery({ ...core, api });
  if (config.testAuth) addTestAuth({ ...core, api, userSerializer });
  return { routes: () => api.router.routes(), endpoints: api.endpoints, cookieNames: cookies.names };
}
