/**
 * RP-initiated logout revokes Signet's session, not only that of oidc-provider. It does not
 * redirect a signed-out visitor to a client that no administrator has reviewed: without a question
 * to the user, it would be an open redirector.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Sessions } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderPages } from '../pages/provider-pages.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';
import { isUnverified } from '../storage/client-origin.js';

interface Deps {
  sessions: Sessions;
  loginCookie: LoginCookie;
  pages: Pick<ProviderPages, 'loggedOut'>;
}

/** Adds the response hook to a provider. */
export function patchRpInitiatedLogout(internals: ProviderInternals, { sessions, loginCookie, pages }: Deps): void {
  internals.responseHooks.push((ctx) =>
    ctx._matchedRouteName === 'end_session_confirm' ? completeLogout(ctx) : undefined,
  );

  async function completeLogout(ctx: KoaContextWithOIDC): Promise<void> {
    const { client } = ctx.oidc;
    const session = ctx.oidc.session as ProviderSession | undefined;
    if (!session?.accountId) {
      if (!client || isUnverified(client)) await showLink(ctx); // no client: none was named, or it was deleted
    } else if (session.destroyed) {
      await sessions.revoke(session.uid, 'signed_out', metaFrom(ctx));
      loginCookie.clear(ctx);
    }
  }

  /** Replaces a redirect to the client with a page that links to it. */
  async function showLink(ctx: KoaContextWithOIDC): Promise<void> {
    const target = ctx.response.get('location');
    if (!target || URL.parse(target)?.origin === ctx.oidc.issuer) return;
    ctx.remove('location');
    ctx.status = 200;
    ctx.type = 'html';
    await pages.loggedOut(ctx, target);
  }
}
