/**
 * What a person decided is not pushed to the provider: it is asked for when the agent polls. So no
 * crash comes between a decision and its effect, whichever process took it.
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

/** A poll that comes a little early is still in time. */
const PACE: Limit = { name: 'ciba-poll', points: 1, seconds: INTERVAL_SECONDS - 1 };

export function notifyDecisions(internals: ProviderInternals, { approvals, oauthStorage, rateLimiter }: Deps): void {
  const { BackchannelAuthenticationRequest: Requests } = internals;
  const findStored = Requests.find.bind(Requests);

  Requests.find = async function findDecided(value, options) {
    const request = await findStored(value, options);
    const isTheirs = request && request.clientId === Provider.ctx?.oidc.client?.clientId;
    if (!isTheirs || request.isExpired) return request;
    if (request.consumed) return Object.assign(request, { error: 'access_denied' }); // open no more: the provider says the rest
    const requestId = oauthStorage.idOf(request.jti);
    const answer = await approvals.resultFor(requestId);
    if (answer.kind === 'no')
      return Object.assign(request, { error: 'access_denied', errorDescription: 'the person said no' });
    if (answer.kind === 'open') {
      if (!(await rateLimiter.tryConsume(PACE, requestId))) throw new errors.SlowDown();
      return request;
    }
    const { grantId, actions: rar, authTime, amr } = answer;
    return Object.assign(request, { grantId, rar, authTime: epochSeconds(authTime), amr });
  };

  internals.responseHooks.push(function denyUserCodes(ctx) {
    // The provider says yes to it whatever is set; there are no user codes here.
    if (ctx.oidc?.route === 'discovery') {
      Object.assign(ctx.body as object, { backchannel_user_code_parameter_supported: false });
    }
  });
}
