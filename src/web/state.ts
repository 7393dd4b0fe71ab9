/** What every request carries through the house, whatever its door. */
import type { DefaultContext, Middleware, ParameterizedContext } from 'koa';
import type { Caller } from '../core/caller.js';

export interface State {
  caller: Caller;
}

export type Context = ParameterizedContext<State, DefaultContext>;
export type Handler = Middleware<State, DefaultContext>;
