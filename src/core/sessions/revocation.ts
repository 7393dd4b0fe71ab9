/**
 * Revokes sessions, and the grants and tokens that were issued in them. No other file revokes
 * sessions.
 */

import { batchesOf } from '../../base/batches.js';
import type { Clock } from '../../base/clock.js';
import type { Prisma, Queryable, Session } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit, AuditEvent } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { GrantSelection } from '../oauth-storage/stores.js';
import type { AuthenticatedSession } from './authenticated-session.js';

/** `signed_out` keeps grants with `offline_access`; every other reason revokes them as well. */
export type RevocationReason =
  | 'signed_out'
  | 'revoked'
  | 'password_changed'
  | 'mfa_changed'
  | 'suspended'
  | 'token_reuse'
  | 'too_many_sessions'
  | 'account_deleted';

export interface RevokedSession {
  sessionId: string;
  accountId: string;
  /** The clients of the session that have a `backchannel_logout_uri`. */
  clientIds: string[];
}

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  invalidationBus: InvalidationBus;
  maxSessions: number;
}

/** Rows per statement: the databases limit the parameters of a statement. */
const BATCH_SIZE = 500;

export function createSessionRevocation(deps: Deps) {
  const { transact, clock, audit, oauthStorage, invalidationBus, maxSessions } = deps;
  const listeners: ((revoked: RevokedSession[]) => void)[] = [];

  return { revoke, revokeOthers, revokeAll, revokeExcess, onRevoked };

  /** Revokes one session and its grants. `signed_out` keeps grants with `offline_access`. */
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

  /**
   * Revokes the least recently used sessions of an account beyond `maxSessions`. Call it after a
   * new session was created, with the account locked.
   */
  async function revokeExcess(uow: UnitOfWork, accountId: string, meta: RequestMeta): Promise<void> {
    const excess = await uow.tx.session.findMany({
      where: { accountId, endedAt: null, expiresAt: { gt: clock.now() } },
      orderBy: [{ lastSeenAt: 'desc' }, { id: 'desc' }],
      skip: maxSessions,
      take: BATCH_SIZE,
      select: { id: true },
    });
    if (excess.length === 0) return;
    await revokeWhere(uow, { id: { in: excess.map(({ id }) => id) } }, { reason: 'too_many_sessions', meta });
  }

  /**
   * Revokes the sessions that match, with a few statements for each batch. Also expired ones: their
   * apps can still have sessions of their own, which back-channel logout ends.
   */
  async function revokeWhere(
    { tx, afterCommit }: UnitOfWork,
    where: Prisma.SessionWhereInput,
    { reason, meta, by }: { reason: RevocationReason; meta: RequestMeta; by?: AuditEvent['by'] | undefined },
  ): Promise<void> {
    const sessions = await findUnrevoked(where, tx);
    if (sessions.length === 0) return;
    const ids = sessions.map(({ id }) => id);
    for (const batch of batchesOf(ids, BATCH_SIZE)) {
      const data = { endedAt: clock.now(), endReason: reason, tokenHash: null };
      await tx.session.updateMany({ where: { id: { in: batch }, endedAt: null }, data });
      const selection: GrantSelection = {
        sessionIds: batch,
        ...(reason === 'signed_out' && { offline: false as const }),
      };
      await oauthStorage.grants.revokeWhere(selection, tx);
    }
    const events = sessions.map(({ id, accountId }) => {
      return { by: by ?? accountId, accountId, sessionId: id, meta, detail: { reason } };
    });
    await audit.recordAll({ tx }, 'session.ended', events);
    afterCommit(() => invalidationBus.publish('sessions', ids.length === 1 ? ids[0] : undefined));
    const revoked = sessions.map(({ id, accountId, clients }) => ({
      sessionId: id,
      accountId,
      clientIds: clients.map(({ clientId }) => clientId),
    }));
    for (const listener of listeners) afterCommit(() => listener(revoked));
  }

  /** Returns all sessions that match and were not revoked. Reads them in batches. */
  async function findUnrevoked(where: Prisma.SessionWhereInput, tx: Queryable) {
    const found: (Pick<Session, 'id' | 'accountId'> & { clients: { clientId: string }[] })[] = [];
    for (;;) {
      const after = found.at(-1)?.id;
      const batch = await tx.session.findMany({
        where: { AND: [where, { endedAt: null, id: { gt: after ?? '' } }] },
        select: { id: true, accountId: true, clients: { select: { clientId: true } } },
        orderBy: { id: 'asc' },
        take: BATCH_SIZE,
      });
      found.push(...batch);
      if (batch.length < BATCH_SIZE) return found;
    }
  }
}
