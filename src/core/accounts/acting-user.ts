/**
 * Rechecks the user in the transaction of a change that gives lasting access: a linked identity,
 * key, agent, approval, invitation, consent, second factor or password. It must not happen in a
 * session that was revoked meanwhile.
 */
import { conflict, unauthorized } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Account, Queryable } from '../../base/db/open.js';
import { lockAccount } from '../account-limits/account-lock.js';

/** A user who acts in a session, or with another credential such as an API key. */
export interface ActingUser {
  /** The account as it was when the request was authenticated. */
  account: Account;
  session?: { id: string } | undefined;
}

export function createActingUserLock({ clock }: { clock: Clock }) {
  return { lockActing };

  /**
   * Locks the account and the session until the transaction ends, and returns the account. Throws
   * `AppError` `invalid_token` if the session was revoked or has expired, or `conflict` if the
   * account was suspended or deleted, or its password has changed since the request was
   * authenticated.
   */
  async function lockActing({ account, session }: ActingUser, tx: Queryable): Promise<Account> {
    const current = await lockAccount(account.id, tx);
    if (session && !(await lockSession(session.id, tx))) {
      throw unauthorized('invalid_token', 'This session has ended. Sign in again.');
    }
    const isUnchanged = current?.passwordChangedAt?.getTime() === account.passwordChangedAt?.getTime();
    if (current?.status === 'active' && isUnchanged) return current;
    throw conflict('The account was changed at the same time. Please try again.');
  }

  /** Locks the session by an update that changes nothing. Returns false if it has ended. */
  async function lockSession(id: string, tx: Queryable): Promise<boolean> {
    const where = { id, endedAt: null, expiresAt: { gt: clock.now() } };
    return (await tx.session.updateMany({ where, data: { endedAt: null } })).count === 1;
  }
}
