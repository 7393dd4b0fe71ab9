/**
 * Derives the provider's browser session from ours in every request. As a result, a sign-out, a
 * suspended account or a sign-in to another account takes effect with the next request.
 */
import { epochSeconds } from '../../../base/clock.js';
import { hmacSha256, type Secrets } from '../../../base/crypto.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';

/** A session, with its content at the start of the request. */
type StoredSession = ProviderSession & { storedContent?: string };

/** An unchanged session is stored again when less than this fraction of its lifetime is left. */
const EXTEND_BELOW_FRACTION = 0.9;

/** Patches `Session` of a provider. */
export function patchSessionFollowsLogin(
  { Session }: ProviderInternals,
  loginCookie: LoginCookie,
  secrets: Secrets,
): void {
  const members = Session.IN_PAYLOAD.filter((member) => member !== 'authorizations');
  const content = members.filter((member) => !['iat', 'exp'].includes(member));
  const getStored = Session.get.bind(Session);

  // `authorizations` lists the clients of a session. It is not stored, because concurrent requests
  // would overwrite each other's changes; our grants show the clients as well.
  Object.defineProperty(Session, 'IN_PAYLOAD', { get: () => members });

  Session.get = async function getSession(ctx) {
    const stored = await getStored(ctx);
    if (stored.exp !== undefined) Object.defineProperty(stored, 'storedContent', { value: contentOf(stored) });
    const authenticated = await loginCookie.read(ctx);
    const session = followLogin(stored, authenticated);
    ctx.oidc?.entity('Session', session);
    return session;
  };

  /** Returns the `sid` of ID and logout tokens. It is computed, so that it needs no storage. */
  Session.prototype.sidFor = function sidFor(clientId) {
    return sidOf(secrets, this.uid, clientId);
  };

  const { persist, save } = Session.prototype;
  /**
   * Stores a session only if it has changed, or to extend it. The provider stores it with every
   * request to extend it, but our own session decides how long the user stays signed in.
   */
  Session.prototype.save = async function saveChanges(this: StoredSession, ttl) {
    const secondsLeft = (this.exp ?? 0) - Date.now() / 1000;
    if (this.oldId || this.storedContent !== contentOf(this) || secondsLeft < ttl * EXTEND_BELOW_FRACTION)
      return save.call(this, ttl);
    this.touched = false;
  };

  /**
   * Skips a session that was never stored. The provider calls this for error pages too, and would
   * throw. No cookie refers to such a session.
   */
  Session.prototype.persist = async function persistStored() {
    return this.exp === undefined ? undefined : persist.call(this);
  };

  function contentOf(session: ProviderSession): string {
    return JSON.stringify(content.map((member) => session[member as keyof ProviderSession]));
  }

  /** Returns the provider's session for our session, or an empty one if the user is signed out. */
  function followLogin(stored: ProviderSession, authenticated: AuthenticatedSession | undefined): ProviderSession {
    if (!authenticated) return stored.accountId ? Session.instantiate() : stored;
    const { session, account, amr } = authenticated;
    const loginTs = epochSeconds(session.authTime);
    const isSameLogin = stored.uid === session.id && stored.accountId === account.id;
    if (isSameLogin && stored.loginTs === loginTs && String(stored.amr) === String(amr)) return stored;
    const following = stored.accountId && stored.uid !== session.id ? Session.instantiate() : stored;
    following.uid = session.id;
    following.loginAccount({ accountId: account.id, loginTs, amr });
    if (following === stored && !stored.new) following.resetIdentifier(); // prevents session fixation
    following.touched = true;
    return following;
  }
}

/** Returns the `sid` of a session for one client. */
export const sidOf = (secrets: Secrets, sessionId: string, clientId: string) =>
  hmacSha256(secrets.key('sid'), `${sessionId} ${clientId}`);
