/** The grants that are ours, beside those of the protocol engine. */
import type Provider from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Core } from '../../../core/core.js';
import { tokenExchange } from './token-exchange.js';

interface Deps extends Pick<Core, 'delegations'> {
  clock: Clock;
}

export function registerGrants(provider: Provider, deps: Deps): void {
  for (const { grantType, parameters, handler } of [tokenExchange(deps)]) {
    provider.registerGrantType(grantType, handler, parameters, 'resource');
  }
}
