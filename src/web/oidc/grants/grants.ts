/** Registers our grant types, in addition to those of oidc-provider. */
import type Provider from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Core } from '../../../core/core.js';
import { tokenExchange } from './token-exchange.js';

interface Deps extends Pick<Core, 'delegations'> {
  clock: Clock;
}

/** Registers each grant type with a provider. */
export function registerGrants(provider: Provider, deps: Deps): void {
  for (const { grantType, parameters, handler } of [tokenExchange(deps)]) {
    provider.registerGrantType(grantType, handler, parameters, 'resource');
  }
}
