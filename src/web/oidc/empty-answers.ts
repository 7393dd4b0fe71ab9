/** A revocation is answered with nothing (RFC 7009, 2.2), and nothing has no type: called text/plain, libraries stumble over it. */
import type { KoaContextWithOIDC } from 'oidc-provider';

interface PatchedProvider {
  use(middleware: (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>): unknown;
}

export function leaveEmptyAnswersUntyped(provider: unknown): void {
  (provider as PatchedProvider).use(async function untyped(ctx, next) {
    await next();
    if (ctx.body === '') ctx.remove('Content-Type');
  });
}
