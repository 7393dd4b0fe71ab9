/**
 * The provider's browser session is a shadow of our login: it says who is signed in only as far as
 * the login cookie does. Signing out, being suspended or signing in as somebody else anywhere in
 * the house therefore takes effect here with the next request.
 */
import { epochSeconds } from '../../../base/clock.js';
import { hmacSha256, type Secrets } from '../../../base/crypto.js';
import type { AuthenticatedSession } from '../../../core/sessions/sessions.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { ProviderInternals, ProviderSession } from '../provider-internals.js';

/** A session as it was found in the store, when this request began. */
type StoredSession = ProviderSession & { asStored?: string };

/**
 * What is stored is good for so much of its time; then it is stored anew, though nothing of it has
 * changed.
 */
const GOOD_SHARE = 0.9;

export function patchSessionFollowsLogin(
  { Session }: ProviderInternals,
  loginCookie: LoginCookie,
  secrets: Secrets,
): void {
  const members = Session.IN_PAYLOAD.filter((member) => member !== 'authorizations');
  const content = members.filter((member) => !['iat', 'exp'].includes(member));
  const getStored = Session.get.bind(Session);

  // Which clients a login was used for is known from its grants. Kept here as well, parallel
  // requests would overwrite each other.
  Object.defineProperty(Session, 'IN_PAYLOAD', { get: () => members });

  Session.get = async function getSession(ctx) {
    const stored = await getStored(ctx);
    if (stored.exp !== undefined) Object.defineProperty(stored, 'asStored', { value: contentOf(stored) });
    const login = await loginCookie.read(ctx);
    const session = adopt(stored, login);
    ctx.oidc?.entity('Session', session);
    return session;
  };

  /**
   * The session's id for one client, in ID and logout tokens. Always the same, so that any process
   * can compute it.
   */
  Session.prototype.sidFor = function sidFor(clientId) {
    return sidOf(secrets, this.uid, clientId);
  };

  const { persist, save } = Session.prototype;
  /**
   * The provider stores a session with every request, to prolong it. It is the login that lives on,
   * in its own row.
   */
  Session.prototype.save = async function saveChanges(this: StoredSession, ttl) {
    const left = (this.exp ?? 0) - Date.now() / 1000;
    if (this.oldId || this.asStored !== contentOf(this) || left < ttl * GOOD_SHARE) return save.call(this, ttl);
    this.touched = false;
  };

  /**
   * One that was never stored has no cookie to come back by: an error page touched it, where the
   * provider stumbles.
   */
  Session.prototype.persist = async function persistStored() {
    return this.exp === undefined ? undefined : persist.call(this);
  };

  function contentOf(session: ProviderSession): string {
    return JSON.stringify(content.map((member) => session[member as keyof ProviderSession]));
  }

  function adopt(stored: ProviderSession, login: AuthenticatedSession | undefined): ProviderSession {
    if (!login) return stored.accountId ? Session.instantiate() : stored;
    const { session, account, amr } = login;
    const loginTs = epochSeconds(session.authTime);
    const known = stored.uid === session.id && stored.accountId === account.id;
    if (known && stored.loginTs === loginTs && String(stored.amr) === String(amr)) return stored;
    const adopted = stored.accountId && stored.uid !== session.id ? Session.instantiate() : stored;
    adopted.uid = session.id;
    adopted.loginAccount({ accountId: account.id, loginTs, amr });
    if (adopted === stored && !stored.new) adopted.resetIdentifier(); // no id that was known before signing in is one afterwards
    adopted.touched = true;
    return adopted;
  }
}

export const sidOf = (secrets: Secrets, sessionId: string, clientId: string) =>
  hmacSha256(secrets.key('sid'), `${sessionId} ${clientId}`);
