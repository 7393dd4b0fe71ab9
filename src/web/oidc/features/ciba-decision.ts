/**
 * Reads the user's decision from `core/agent-authorization` when the agent polls. There is no copy
 * in oidc-provider's storage, so a crash cannot leave a decision without effect.
 */
import Provider, { errors } from 'oidc-provider';
import { epochSeconds } from '../../../base/clock.js';
import type { Limit, RateLimiter } from '../../../base/rate-limiter.js';
import type { Core } from '../../../core/core.js';
import type { ProviderInternals } from '../provider-internals.js';
import { INTERVAL_SECONDS } from './ciba.js';

interface Deps extends Pick<Core, 'approvals' | 'oauthStorage'> {
  rateLimiter: RateLimiter;
}

/** One second shorter than the interval, so that a slightly early poll passes. */
const POLL_LIMIT: Limit = { name: 'ciba-poll', points: 1, seconds: INTERVAL_SECONDS - 1 };

/** Patches `BackchannelAuthenticationRequest.find` of a provider. */
export function patchDecisionLookup(
  internals: ProviderInternals,
  { approvals, oauthStorage, rateLimiter }: Deps,
): void {
  const { BackchannelAuthenticationRequest: RequestModel } = internals;
  const findStored = RequestModel.find.bind(RequestModel);

  RequestModel.find = async function findDecided(value, options) {
    const request = await findStored(value, options);
    const isOwn = request && request.clientId === Provider.ctx?.oidc.client?.clientId;
    if (!isOwn || request.isExpired) return request;
    if (request.consumed) return Object.assign(request, { error: 'access_denied' }); // no longer pending
    const requestId = oauthStorage.idOf(request.jti);
    const result = await approvals.resultFor(requestId);
    if (result.kind === 'denied')
      return Object.assign(request, { error: 'access_denied', errorDescription: 'The user denied the request.' });
    if (result.kind === 'open') {
      if (!(await rateLimiter.tryConsume(POLL_LIMIT, requestId))) throw new errors.SlowDown();
      return request;
    }
    const { grantId, actions: rar, authTime, amr } = result;
    return Object.assign(request, { grantId, rar, authTime: epochSeconds(authTime), amr });
  };

  internals.responseHooks.push(function removeUserCodeSupport(ctx) {
    // The provider always advertises user codes for CIBA, which are not supported here.
    if (ctx.oidc?.route === 'discovery') {
      Object.assign(ctx.body as object, { backchannel_user_code_parameter_supported: false });
    }
  });
}
