/**
 * Derives the provider's browser session from ours, with every request. So signing out, a suspended
 * account and signing in to another account take effect with the next request.
 */
import { epochSeconds } from '../../../base/clock.js';
import { hmacSha256, type Secrets } from '../../../base/crypto.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';

/** A session with its content as it was when the request began. */
type StoredSession = ProviderSession & { asStored?: string };

/** An unchanged session is stored again when less than this part of its lifetime is left. */
const REFRESH_BELOW = 0.9;

/** Patches `Session` of a provider. */
export function patchSessionFollowsLogin(
  { Session }: ProviderInternals,
  loginCookie: LoginCookie,
  secrets: Secrets,
): void {
  const members = Session.IN_PAYLOAD.filter((member) => member !== 'authorizations');
  const content = members.filter((member) => !['iat', 'exp'].includes(member));
  const getStored = Session.get.bind(Session);

  // The grants of a session show which clients it was used for. Stored here as well, concurrent
  // requests would overwrite each other's changes.
  Object.defineProperty(Session, 'IN_PAYLOAD', { get: () => members });

  Session.get = async function getSession(ctx) {
    const stored = await getStored(ctx);
    if (stored.exp !== undefined) Object.defineProperty(stored, 'asStored', { value: contentOf(stored) });
    const authenticated = await loginCookie.read(ctx);
    const session = adopt(stored, authenticated);
    ctx.oidc?.entity('Session', session);
    return session;
  };

  /** The `sid` of ID and logout tokens, computed so that it needs no storage. */
  Session.prototype.sidFor = function sidFor(clientId) {
    return sidOf(secrets, this.uid, clientId);
  };

  const { persist, save } = Session.prototype;
  /**
   * Stores a session only if it has changed. The provider stores it with every request to extend
   * it, but our own session decides how long the user stays signed in.
   */
  Session.prototype.save = async function saveChanges(this: StoredSession, ttl) {
    const left = (this.exp ?? 0) - Date.now() / 1000;
    if (this.oldId || this.asStored !== contentOf(this) || left < ttl * REFRESH_BELOW) return save.call(this, ttl);
    this.touched = false;
  };

  /**
   * Skips a session that was never stored: the provider would fail on an error page, and no cookie
   * could refer to it.
   */
  Session.prototype.persist = async function persistStored() {
    return this.exp === undefined ? undefined : persist.call(this);
  };

  function contentOf(session: ProviderSession): string {
    return JSON.stringify(content.map((member) => session[member as keyof ProviderSession]));
  }

  function adopt(stored: ProviderSession, authenticated: AuthenticatedSession | undefined): ProviderSession {
    if (!authenticated) return stored.accountId ? Session.instantiate() : stored;
    const { session, account, amr } = authenticated;
    const loginTs = epochSeconds(session.authTime);
    const known = stored.uid === session.id && stored.accountId === account.id;
    if (known && stored.loginTs === loginTs && String(stored.amr) === String(amr)) return stored;
    const adopted = stored.accountId && stored.uid !== session.id ? Session.instantiate() : stored;
    adopted.uid = session.id;
    adopted.loginAccount({ accountId: account.id, loginTs, amr });
    if (adopted === stored && !stored.new) adopted.resetIdentifier(); // against session fixation
    adopted.touched = true;
    return adopted;
  }
}

/** Returns the `sid` of a session for one client. */
export const sidOf = (secrets: Secrets, sessionId: string, clientId: string) =>
  hmacSha256(secrets.key('sid'), `${sessionId} ${clientId}`);
