/** How logins end, for whatever reason, and with them what came of them. Nothing else ends one. */

import type { Clock } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { GrantSelection } from '../oauth-storage/grants.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { RequestMeta } from '../request-meta.js';

/**
 * Signing out keeps what was granted for offline use; every other reason ends all that came of the
 * login.
 */
export type RevocationReason =
  | 'signed_out'
  | 'revoked'
  | 'password_changed'
  | 'factors_changed'
  | 'suspended'
  | 'theft'
  | 'account_deleted';

/** What others are told when a login has ended. */
export interface RevokedSession {
  sessionId: string;
  accountId: string;
  /** The clients that asked to hear of it. */
  clientIds: string[];
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  invalidationBus: InvalidationBus;
}

export function createSessionRevocation({ db, clock, audit, oauthStorage, invalidationBus }: Deps) {
  const listeners: ((ended: RevokedSession[]) => void)[] = [];

  return { revoke, revokeAll, onRevoked };

  /** Ends a login. Its access and refresh tokens are refused from then on. */
  async function revoke(id: string, reason: RevocationReason, meta: RequestMeta): Promise<void> {
    await endWhere({ id }, reason, meta);
  }

  /**
   * Ends all logins of an account but `except`, and, unless somebody merely signed out, all that
   * was granted to clients, whether the login it came from still lives or was signed out before.
   * What came of `except` stays.
   *
   * @param first what must happen together with it, in the same transaction: why they end
   * @param last what must happen there once they have ended
   */
  async function revokeAll(
    accountId: string,
    reason: RevocationReason,
    meta: RequestMeta,
    except?: string,
    first: (tx: Queryable) => Promise<void> = async () => {},
    last?: (tx: Queryable) => Promise<void>,
  ): Promise<void> {
    const grantsToo = reason !== 'signed_out';
    // After the logins: whoever was being let in, or signed out, at this moment has left nothing by
    // then that is not seen.
    const finish = async (tx: Queryable) => {
      if (grantsToo)
        await oauthStorage.grants.revokeWhere(except ? { accountId, exceptSessionId: except } : { accountId }, tx);
      await last?.(tx);
    };
    await endWhere({ accountId, ...(except && { id: { not: except } }) }, reason, meta, first, finish);
    if (grantsToo) await invalidationBus.publish('grants');
  }

  /** Calls the listener with what has ended, after it is written. */
  function onRevoked(listener: (ended: RevokedSession[]) => void): void {
    listeners.push(listener);
  }

  async function endWhere(
    where: { id: string } | { accountId: string; id?: { not: string } },
    reason: RevocationReason,
    meta: RequestMeta,
    first?: (tx: Queryable) => Promise<void>,
    last?: (tx: Queryable) => Promise<void>,
  ) {
    const ended = await db.$transaction(async (tx) => {
      await first?.(tx);
      const sessions = await tx.session.findMany({ where: { ...where, endedAt: null }, include: { clients: true } });
      for (const session of sessions) {
        await tx.session.update({
          where: { id: session.id },
          data: { endedAt: clock.now(), endReason: reason, tokenHash: null },
        });
        const grants: GrantSelection = {
          sessionId: session.id,
          ...(reason === 'signed_out' && { offline: false as const }),
        };
        await oauthStorage.grants.revokeWhere(grants, tx);
        await audit.record(
          {
            action: 'session.ended',
            actor: { kind: 'account', id: session.accountId },
            accountId: session.accountId,
            sessionId: session.id,
            meta,
            detail: { reason },
          },
          tx,
        );
      }
      await last?.(tx);
      return sessions.map(({ id, accountId, clients }) => ({
        sessionId: id,
        accountId,
        clientIds: clients.map((client) => client.clientId),
      }));
    });
    if (ended.length === 0) return;
    for (const { sessionId } of ended) await invalidationBus.publish('sessions', sessionId);
    for (const listener of listeners) listener(ended);
  }
}
