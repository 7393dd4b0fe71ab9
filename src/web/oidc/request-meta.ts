/**
 * Request metadata for code that has only oidc-provider's context. The request pipeline has set
 * the headers read here, so they can be trusted.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';

/** Returns the metadata of the request in `ctx`; `systemMeta` outside a request. */
export function metaFrom(ctx: Pick<KoaContextWithOIDC, 'req' | 'res'> | undefined): RequestMeta {
  if (!ctx) return systemMeta;
  const { headers } = ctx.req;
  return {
    address: String(headers['x-forwarded-for'] ?? ''),
    userAgent: String(headers['user-agent'] ?? '').slice(0, 400),
    requestId: String(ctx.res.getHeader('x-request-id') ?? ''),
  };
}
