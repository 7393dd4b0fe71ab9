/** What every request carries through the house, whatever its door. */
import type { X509Certificate } from 'node:crypto';
import type { DefaultContext, Middleware, ParameterizedContext } from 'koa';
import type { Principal } from '../../core/credentials/principal.js';
import type { RequestMeta } from '../../core/request-meta.js';

export interface State {
  meta: RequestMeta;
  /**
   * Its own certificate, whose key it has proven to hold, and those that came along. Who it is,
   * they alone do not say.
   */
  certificates: X509Certificate[];
  /** Who sent a request of the JSON API, once it is proven. */
  principal?: Principal;
}

export type Context = ParameterizedContext<State, DefaultContext>;
export type Handler = Middleware<State, DefaultContext>;
