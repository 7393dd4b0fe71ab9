/** The types of Koa's context, and the state of a request in it. */
import type { X509Certificate } from 'node:crypto';
import type { DefaultContext, Middleware, ParameterizedContext } from 'koa';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Principal } from '../../core/credentials/principal.js';

export interface State {
  meta: RequestMeta;
  /**
   * The client certificate and its chain. The client has proven possession of the key, but is not
   * authenticated: any issuer is accepted here.
   */
  certificates: X509Certificate[];
  /** The authenticated caller of the JSON API. */
  principal?: Principal;
}

export type Context = ParameterizedContext<State, DefaultContext>;
export type Handler = Middleware<State, DefaultContext>;
