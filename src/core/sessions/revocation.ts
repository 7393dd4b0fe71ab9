/**
 * Revokes sessions, and the grants and tokens that were issued in them. No other file revokes
 * sessions.
 */

import type { Clock } from '../../base/clock.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { GrantSelection } from '../oauth-storage/stores.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession } from './authenticated-session.js';

/** `signed_out` keeps grants with `offline_access`; every other reason revokes them as well. */
export type RevocationReason =
  | 'signed_out'
  | 'revoked'
  | 'password_changed'
  | 'mfa_changed'
  | 'suspended'
  | 'token_reuse'
  | 'account_deleted';

export interface RevokedSession {
  sessionId: string;
  accountId: string;
  /** The clients that requested back-channel logout. */
  clientIds: string[];
}

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  invalidationBus: InvalidationBus;
}

export function createSessionRevocation({ transact, clock, audit, oauthStorage, invalidationBus }: Deps) {
  const listeners: ((revoked: RevokedSession[]) => void)[] = [];

  return { revoke, revokeOthers, revokeAll, onRevoked };

  /** Revokes one session and its access and refresh tokens. */
  async function revoke(id: string, reason: RevocationReason, meta: RequestMeta): Promise<void> {
    await transact((uow) => revokeWhere(uow, { id }, { reason, meta }));
  }

  /** Revokes all sessions and grants of the account except those of the given session. */
  async function revokeOthers({ account, session }: AuthenticatedSession, meta: RequestMeta): Promise<void> {
    await transact((uow) => revokeAll(uow, account.id, { reason: 'revoked', except: session.id, meta }));
  }

  /**
   * Revokes all sessions of an account except `except`. Unless the reason is `signed_out`, it also
   * revokes all grants, including those of sessions that were signed out before, but not those of
   * `except`. Change or lock the account row first, so that a concurrent sign-in either sees the
   * change or has its session revoked here.
   *
   * @param options.by the actor for the audit log. Default: the account itself
   */
  async function revokeAll(
    uow: UnitOfWork,
    accountId: string,
    options: { reason: RevocationReason; except?: string | undefined; meta: RequestMeta; by?: AuditEvent['by'] },
  ): Promise<void> {
    const { reason, except, meta, by } = options;
    await revokeWhere(uow, { accountId, ...(except && { id: { not: except } }) }, { reason, meta, by });
    if (reason === 'signed_out') return;
    // Must follow the update of the sessions, which waits for concurrent sign-ins and sign-outs.
    // Otherwise, it could miss their grants.
    await oauthStorage.grants.revokeWhere(except ? { accountId, exceptSessionId: except } : { accountId }, uow.tx);
    uow.afterCommit(() => invalidationBus.publish('grants'));
  }

  /** Registers a listener that is called with the revoked sessions after the commit. */
  function onRevoked(listener: (revoked: RevokedSession[]) => void): void {
    listeners.push(listener);
  }

  async function revokeWhere(
    { tx, afterCommit }: UnitOfWork,
    where: { id: string } | { accountId: string; id?: { not: string } },
    { reason, meta, by }: { reason: RevocationReason; meta: RequestMeta; by?: AuditEvent['by'] | undefined },
  ): Promise<void> {
    const sessions = await tx.session.findMany({ where: { ...where, endedAt: null }, include: { clients: true } });
    for (const { id, accountId } of sessions) {
      await tx.session.update({ where: { id }, data: { endedAt: clock.now(), endReason: reason, tokenHash: null } });
      const selection: GrantSelection = { sessionId: id, ...(reason === 'signed_out' && { offline: false as const }) };
      await oauthStorage.grants.revokeWhere(selection, tx);
      const event = { by: by ?? accountId, accountId, sessionId: id, meta, detail: { reason } };
      await audit.record({ tx }, 'session.ended', event);
      afterCommit(() => invalidationBus.publish('sessions', id));
    }
    if (sessions.length === 0) return;
    const revoked = sessions.map(({ id, accountId, clients }) => ({
      sessionId: id,
      accountId,
      clientIds: clients.map(({ clientId }) => clientId),
    }));
    for (const listener of listeners) afterCommit(() => listener(revoked));
  }
}
