/**
 * A revocation is answered with nothing (RFC 7009, 2.2), and nothing has no type: called
 * text/plain, libraries stumble over it.
 */
import type { ProviderInternals } from '../provider-internals.js';

export function patchRevocationContentType(internals: ProviderInternals): void {
  internals.responseHooks.push(function leaveUntyped(ctx) {
    if (ctx.body === '') ctx.remove('Content-Type');
  });
}
