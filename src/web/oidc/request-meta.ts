/**
 * Who asks, for code that only has the provider's context. The house pinned the headers that this
 * reads.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type RequestMeta, systemMeta } from '../../core/request-meta.js';

export function metaFrom(ctx: Pick<KoaContextWithOIDC, 'req' | 'res'> | undefined): RequestMeta {
  if (!ctx) return systemMeta;
  const { headers } = ctx.req;
  return {
    address: String(headers['x-forwarded-for'] ?? ''),
    userAgent: String(headers['user-agent'] ?? '').slice(0, 400),
    requestId: String(ctx.res.getHeader('x-request-id') ?? ''),
  };
}
