/** The state of a request that passes through Koa. */
import type { X509Certificate } from 'node:crypto';
import type { DefaultContext, Middleware, ParameterizedContext } from 'koa';
import type { Principal } from '../../core/credentials/principal.js';
import type { RequestMeta } from '../../core/request-meta.js';

export interface State {
  meta: RequestMeta;
  /**
   * The client certificate, whose key TLS has proven, and its chain. Identifies no one by itself.
   */
  certificates: X509Certificate[];
  /** The authenticated caller of the JSON API. */
  principal?: Principal;
}

export type Context = ParameterizedContext<State, DefaultContext>;
export type Handler = Middleware<State, DefaultContext>;
