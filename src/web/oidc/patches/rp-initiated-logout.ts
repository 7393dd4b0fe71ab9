/** RP-initiated logout ends the login itself, not only the provider's shadow of it. */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Sessions } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';
import { metaFrom } from '../request-meta.js';

interface Deps {
  sessions: Sessions;
  loginCookie: LoginCookie;
}

export function patchRpInitiatedLogout(internals: ProviderInternals, { sessions, loginCookie }: Deps): void {
  internals.responseHooks.push((ctx) => (ctx._matchedRouteName === 'end_session_confirm' ? endLogin(ctx) : undefined));

  async function endLogin(ctx: KoaContextWithOIDC): Promise<void> {
    const session = ctx.oidc.session as ProviderSession | undefined;
    if (!session?.destroyed || !session.accountId) return;
    await sessions.revoke(session.uid, 'signed_out', metaFrom(ctx));
    loginCookie.clear(ctx);
  }
}
