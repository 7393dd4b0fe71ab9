/** RP-initiated logout revokes our session, not only the provider's. */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Sessions } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';

interface Deps {
  sessions: Sessions;
  loginCookie: LoginCookie;
}

/** Adds the response hook to a provider. */
export function patchRpInitiatedLogout(internals: ProviderInternals, { sessions, loginCookie }: Deps): void {
  internals.responseHooks.push((ctx) =>
    ctx._matchedRouteName === 'end_session_confirm' ? revokeSession(ctx) : undefined,
  );

  async function revokeSession(ctx: KoaContextWithOIDC): Promise<void> {
    const session = ctx.oidc.session as ProviderSession | undefined;
    if (!session?.destroyed || !session.accountId) return;
    await sessions.revoke(session.uid, 'signed_out', metaFrom(ctx));
    loginCookie.clear(ctx);
  }
}
