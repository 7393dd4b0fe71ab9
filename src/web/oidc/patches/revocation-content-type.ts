/**
 * Removes the content type of empty responses. A revocation response has no body (RFC 7009, 2.2),
 * and some libraries reject `text/plain`.
 */
import type { ProviderInternals } from '../provider-internals.js';

/** Adds the response hook to a provider. */
export function patchRevocationContentType(internals: ProviderInternals): void {
  internals.responseHooks.push(function removeContentType(ctx) {
    if (ctx.body === '') ctx.remove('Content-Type');
  });
}
