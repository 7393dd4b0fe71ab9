/** The grants that are ours, beside those of the protocol engine. */
import type Provider from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Core } from '../../../core/core.js';
import { tokenExchange } from './token-exchange.js';

interface Needs extends Pick<Core, 'delegations'> {
  clock: Clock;
}

export function registerGrants(provider: Provider, needs: Needs): void {
  for (const { grantType, parameters, handler } of [tokenExchange(needs)]) {
    provider.registerGrantType(grantType, handler, parameters, 'resource');
  }
}
