/** What every request carries through the house, whatever its door. */
import type { DefaultContext, Middleware, ParameterizedContext } from 'koa';
import type { Caller } from '../core/caller.js';
import type { Principal } from '../core/credentials/principal.js';

export interface State {
  caller: Caller;
  /** Who sent a request of the JSON API, once it is proven. */
  principal?: Principal;
}

export type Context = ParameterizedContext<State, DefaultContext>;
export type Handler = Middleware<State, DefaultContext>;
