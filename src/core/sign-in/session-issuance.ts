/**
 * How somebody who has proved who they are is let in, by whatever door: what was proved must still
 * be true at that moment.
 */

import { unauthorized } from '../../base/app-error.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { ExternalIdentity, Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession, Session, Sessions } from '../sessions/sessions.js';
import type { SessionWithAccessToken, SessionWithTokens, Tokens } from '../sessions/tokens.js';
import type { NewDevice } from './new-device-notification.js';

/** Somebody who has proved who they are, and is not let in yet. */
export interface Authenticated {
  account: Account;
  /** How (RFC 8176). */
  amr: string[];
  /** Who they are at the provider elsewhere that says so, where it is not us. */
  from?: ExternalIdentity | undefined;
}

/** A login that was just opened or renewed, with the token for the browser's cookie. */
export interface NewBrowserSession {
  account: Account;
  session: Session;
  token: string;
}

interface Deps {
  db: Database;
  accounts: Accounts;
  sessions: Sessions;
  tokens: Tokens;
  identities: Pick<Identities, 'isLinked'>;
  mfa: Mfa;
  newDevice: NewDevice;
  audit: Audit;
}

export type SessionIssuer = ReturnType<typeof createSessionIssuer>;

export function createSessionIssuer({ db, accounts, sessions, tokens, identities, mfa, newDevice, audit }: Deps) {
  return { startBrowserSession, issueTokens, issueSingleToken };

  /**
   * Lets somebody in, in a browser.
   *
   * @param current the login that the browser has already: renewed if it is the same person's,
   *   ended if it is another's
   */
  async function startBrowserSession(
    { account, amr, from }: Authenticated,
    current: AuthenticatedSession | undefined,
    meta: RequestMeta,
  ): Promise<NewBrowserSession> {
    const same = current?.account.id === account.id ? current : undefined;
    if (current && !same) await sessions.revoke(current.session.id, 'signed_out', meta);
    const fromNewDevice = !same && (await newDevice.isNew(account, meta));
    const { session, token } = await db.$transaction(async (tx: Queryable) => {
      await lock({ account, amr, from }, tx);
      const fresh = same ? await sessions.renew(same, amr, tx) : await sessions.open(account, amr, meta, tx);
      await auditSuccess(fresh.session, meta, tx, from?.issuer);
      return fresh;
    });
    if (same) await sessions.changed(session.id);
    if (fromNewDevice) await newDevice.notify(account, meta);
    return { account, session, token };
  }

  /** Lets somebody in who comes without a page: a login of its own, with its first tokens. */
  async function issueTokens(authenticated: Authenticated, meta: RequestMeta): Promise<SessionWithTokens> {
    const { account, amr } = authenticated;
    return issueSession(authenticated, meta, (tx) => tokens.open(account, amr, meta, tx));
  }

  /** The same, with an access token for so many seconds and nothing to renew it by. */
  async function issueSingleToken(
    authenticated: Authenticated,
    seconds: number,
    meta: RequestMeta,
  ): Promise<SessionWithAccessToken> {
    const { account, amr } = authenticated;
    return issueSession(authenticated, meta, (tx) => tokens.openForOne(account, amr, seconds, meta, tx));
  }

  async function issueSession<Opened extends AuthenticatedSession>(
    { account, amr, from }: Authenticated,
    meta: RequestMeta,
    open: (tx: Queryable) => Promise<Opened>,
  ): Promise<Opened> {
    const fromNewDevice = await newDevice.isNew(account, meta);
    const opened = await db.$transaction(async (tx) => {
      await lock({ account, amr, from }, tx);
      const login = await open(tx);
      await auditSuccess(login.session, meta, tx, from?.issuer);
      return login;
    });
    if (fromNewDevice) await newDevice.notify(account, meta);
    return opened;
  }

  /**
   * What was proved must still be true, and enough, when somebody is let in. Holds the account
   * until they are: whoever changes the password, sets up a second factor, unlinks a provider or
   * suspends the account has done so by now, or waits, and then finds the login and ends it.
   */
  async function lock({ account: { id, passwordChangedAt }, amr, from }: Authenticated, tx: Queryable): Promise<void> {
    const now = await accounts.lock(id, tx);
    const same = accounts.isActive(now) && now.passwordChangedAt?.getTime() === passwordChangedAt?.getTime();
    const linked = !from || (await identities.isLinked(id, from, tx));
    if (same && linked && (amr.includes('otp') || !(await mfa.isEnrolled(id, tx)))) return;
    throw unauthorized('invalid_credentials', 'The account was changed at this moment. Please sign in again.');
  }

  async function auditSuccess(
    { id, accountId, amr }: Session,
    meta: RequestMeta,
    tx: Queryable,
    from?: string,
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: accountId };
    const detail = { amr: amr as string[], ...(from && { from }) };
    await audit.record({ action: 'sign_in.succeeded', actor, accountId, sessionId: id, meta, detail }, tx);
  }
}
