/**
 * Issues sessions and tokens after authentication. Rechecks the account inside the transaction,
 * because it can have changed since the password was verified.
 */

import { unauthorized } from '../../base/app-error.js';
import type { Queryable } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { ExternalIdentity, Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { AuthenticatedSession, Session, Sessions } from '../sessions/sessions.js';
import type { SessionWithAccessToken, SessionWithTokens, Tokens } from '../sessions/tokens.js';
import type { NewDevice } from './new-device-notification.js';

/** An authenticated user who has no session yet. */
export interface Authenticated {
  account: Account;
  /** The authentication methods used (RFC 8176). */
  amr: string[];
  /** The identity at the external provider that authenticated the user, if one did. */
  externalIdentity?: ExternalIdentity | undefined;
}

/** A session that was just created or renewed, with the token for the browser's cookie. */
export interface NewBrowserSession {
  account: Account;
  session: Session;
  token: string;
}

interface Deps {
  transact: Transact;
  accounts: Accounts;
  sessions: Sessions;
  tokens: Tokens;
  identities: Pick<Identities, 'isLinked'>;
  mfa: Mfa;
  newDevice: NewDevice;
  audit: Audit;
}

export type SessionIssuer = ReturnType<typeof createSessionIssuer>;

export function createSessionIssuer(deps: Deps) {
  const { transact, accounts, sessions, tokens, identities, mfa, newDevice, audit } = deps;

  return { startBrowserSession, issueTokens, issueSingleToken };

  /**
   * Starts a browser session. Renews `current` if it belongs to the same account and revokes it if
   * it belongs to another one. Throws `AppError` `invalid_credentials` if the account has changed
   * since the user was authenticated.
   *
   * @param current the session that the browser already has
   */
  async function startBrowserSession(
    authenticated: Authenticated,
    current: AuthenticatedSession | undefined,
    meta: RequestMeta,
  ): Promise<NewBrowserSession> {
    const { account, amr } = authenticated;
    const ownSession = current?.account.id === account.id ? current : undefined;
    if (current && !ownSession) await sessions.revoke(current.session.id, 'signed_out', meta);
    if (!ownSession) {
      return issueSession(authenticated, meta, async (tx) => ({
        account,
        ...(await sessions.open(account, amr, meta, tx)),
      }));
    }
    return transact(async (uow) => {
      await lockAndRecheck(authenticated, uow.tx);
      const renewed = await sessions.renew(ownSession, amr, uow.tx);
      await auditSuccess(uow, authenticated, renewed.session, meta);
      uow.afterCommit(() => sessions.changed(renewed.session.id));
      return { account, ...renewed };
    });
  }

  /**
   * Creates a session with an access token and a refresh token. Throws `AppError`
   * `invalid_credentials` if the account has changed since the user was authenticated.
   */
  async function issueTokens(authenticated: Authenticated, meta: RequestMeta): Promise<SessionWithTokens> {
    const { account, amr } = authenticated;
    return issueSession(authenticated, meta, (tx) => tokens.open(account, amr, meta, tx));
  }

  /** Like `issueTokens`, with an access token for `seconds` and no refresh token. */
  async function issueSingleToken(
    authenticated: Authenticated,
    seconds: number,
    meta: RequestMeta,
  ): Promise<SessionWithAccessToken> {
    const { account, amr } = authenticated;
    return issueSession(authenticated, meta, (tx) => tokens.openForOne(account, amr, seconds, meta, tx));
  }

  async function issueSession<NewSession extends { session: Session }>(
    authenticated: Authenticated,
    meta: RequestMeta,
    createSession: (tx: Queryable) => Promise<NewSession>,
  ): Promise<NewSession> {
    const { account } = authenticated;
    const fromNewDevice = await newDevice.isNew(account, meta);
    return transact(async (uow) => {
      await lockAndRecheck(authenticated, uow.tx);
      const newSession = await createSession(uow.tx);
      await auditSuccess(uow, authenticated, newSession.session, meta);
      await sessions.revokeExcess(uow, account.id, meta);
      if (fromNewDevice) uow.afterCommit(() => newDevice.notify(account, meta));
      return newSession;
    });
  }

  /**
   * Locks the account and checks that the authentication is still valid and sufficient. Misses no
   * concurrent change of password, second factor, linked identity or status: either it is already
   * committed and is seen here, or it waits for this transaction and revokes the new session.
   */
  async function lockAndRecheck({ account, amr, externalIdentity }: Authenticated, tx: Queryable): Promise<void> {
    const current = await accounts.lock(account.id, tx);
    const isUnchanged =
      accounts.isActive(current) && current.passwordChangedAt?.getTime() === account.passwordChangedAt?.getTime();
    const isLinked = !externalIdentity || (await identities.isLinked(account.id, externalIdentity, tx));
    if (isUnchanged && isLinked && (amr.includes('otp') || !(await mfa.isEnrolled(account.id, tx)))) return;
    throw unauthorized('invalid_credentials', 'The account changed while you were signing in. Sign in again.');
  }

  async function auditSuccess(
    uow: UnitOfWork,
    { externalIdentity }: Authenticated,
    { id, accountId, amr }: Session,
    meta: RequestMeta,
  ): Promise<void> {
    const detail = { amr: amr as string[], ...(externalIdentity && { from: externalIdentity.issuer }) };
    await audit.record(uow, 'sign_in.succeeded', { by: accountId, accountId, sessionId: id, meta, detail });
  }
}
