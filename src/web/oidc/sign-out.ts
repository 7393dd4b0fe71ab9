/** RP-initiated logout ends the login itself, not only the provider's shadow of it. */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Sessions } from '../../core/sessions/sessions.js';
import type { LoginCookie } from '../login-cookie.js';
import { callerOf } from './caller.js';

interface Needs {
  sessions: Sessions;
  loginCookie: LoginCookie;
}

interface PatchedProvider {
  use(middleware: (ctx: KoaContextWithOIDC, next: () => Promise<void>) => Promise<void>): unknown;
}

export function finishSignOut(provider: unknown, { sessions, loginCookie }: Needs): void {
  (provider as PatchedProvider).use(async function endLogin(ctx, next) {
    await next();
    if (ctx._matchedRouteName !== 'end_session_confirm') return;
    const session = ctx.oidc.session as { uid: string; accountId?: string; destroyed?: boolean } | undefined;
    if (!session?.destroyed || !session.accountId) return;
    await sessions.end(session.uid, 'signed_out', callerOf(ctx));
    loginCookie.clear(ctx);
  });
}
