/** How logins end, for whatever reason, and with them what came of them. Nothing else ends one. */

import type { Clock } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Announcements } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { GrantSelection } from '../oauth-storage/grants.js';
import type { Artifacts } from '../oauth-storage/oauth-storage.js';
import type { Caller } from '../request-meta.js';

/** Signing out keeps what was granted for offline use; every other reason ends all that came of the login. */
export type EndReason =
  | 'signed_out'
  | 'revoked'
  | 'password_changed'
  | 'factors_changed'
  | 'suspended'
  | 'theft'
  | 'account_deleted';

/** What others are told when a login has ended. */
export interface EndedLogin {
  sessionId: string;
  accountId: string;
  /** The clients that asked to hear of it. */
  clientIds: string[];
}

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  artifacts: Pick<Artifacts, 'grants'>;
  announcements: Announcements;
}

export function createEndings({ db, clock, audit, artifacts, announcements }: Needs) {
  const listeners: ((ended: EndedLogin[]) => void)[] = [];

  return { end, endAll, onEnded };

  /** Ends a login. Its access and refresh tokens are refused from then on. */
  async function end(id: string, reason: EndReason, caller: Caller): Promise<void> {
    await endWhere({ id }, reason, caller);
  }

  /**
   * Ends all logins of an account but `except`, and, unless somebody merely signed out, all that was granted to clients, whether the
   * login it came from still lives or was signed out before. What came of `except` stays.
   *
   * @param first what must happen together with it, in the same transaction: why they end
   * @param last what must happen there once they have ended
   */
  async function endAll(
    accountId: string,
    reason: EndReason,
    caller: Caller,
    except?: string,
    first: (tx: Queryable) => Promise<void> = async () => {},
    last?: (tx: Queryable) => Promise<void>,
  ): Promise<void> {
    const grantsToo = reason !== 'signed_out';
    // After the logins: whoever was being let in, or signed out, at this moment has left nothing by then that is not seen.
    const finish = async (tx: Queryable) => {
      if (grantsToo) await artifacts.grants.end(except ? { accountId, exceptSessionId: except } : { accountId }, tx);
      await last?.(tx);
    };
    await endWhere({ accountId, ...(except && { id: { not: except } }) }, reason, caller, first, finish);
    if (grantsToo) await announcements.announce('grants');
  }

  /** Calls the listener with what has ended, after it is written. */
  function onEnded(listener: (ended: EndedLogin[]) => void): void {
    listeners.push(listener);
  }

  async function endWhere(
    where: { id: string } | { accountId: string; id?: { not: string } },
    reason: EndReason,
    caller: Caller,
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
        await artifacts.grants.end(grants, tx);
        await audit.record(
          {
            action: 'session.ended',
            actor: { kind: 'account', id: session.accountId },
            accountId: session.accountId,
            sessionId: session.id,
            caller,
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
    for (const { sessionId } of ended) await announcements.announce('sessions', sessionId);
    for (const listener of listeners) listener(ended);
  }
}
