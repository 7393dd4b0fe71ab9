/**
 * Users' decisions about approvals. The grant is created in the same transaction as the decision.
 */
import { conflict, notFound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { addSeconds, MINUTE_SECONDS } from '../../base/clock.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import { AGENT_INCLUDE, toAgent } from '../agents/active-agents.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Payload } from '../oauth-storage/stores.js';
import type { AuthenticatedSession } from '../sessions/sessions.js';
import { approvalEvent, isStillOwner } from './approval.js';
import type { Approvers } from './approvers.js';

export type Decision = 'approve' | 'deny';

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lockActing'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  approvers: Pick<Approvers, 'canRequest'>;
}

/** The lifetime of the token that an approval yields. */
export const APPROVED_SECONDS = 5 * MINUTE_SECONDS;

export function createDecisions(base: Base, { audit, accounts, oauthStorage, approvers }: Deps) {
  const { transact, clock } = base;

  return { decide };

  /**
   * Stores the user's decision. Of several concurrent decisions, only one succeeds. Throws
   * `not_found` if the request is not for this user. Throws `conflict` if it is decided, expired or
   * no longer allowed.
   */
  async function decide(
    { account, session, amr }: AuthenticatedSession,
    id: string,
    decision: Decision,
    meta: RequestMeta,
  ): Promise<void> {
    await transact(async (uow) => {
      const { tx } = uow;
      const current = await accounts.lockActing({ account, session }, tx);
      const where = { id, accountId: account.id };
      const row = await tx.approval.findFirst({ where, include: { agent: { include: AGENT_INCLUDE } } });
      if (!row) throw notFound('Request not found.');
      const now = clock.now();
      const { count } = await tx.approval.updateMany({
        where: { ...where, status: 'pending', expiresAt: { gt: now } },
        data: {
          status: decision === 'approve' ? 'approved' : 'denied',
          pendingKey: null,
          decidedAt: now,
          grantPayload: {}, // stored as the grant below, if at all
          authTime: session.authTime,
          amr,
        },
      });
      if (count !== 1 || !isStillOwner(row, current)) throw requestClosed();
      const event = approvalEvent(row, account.id, row.agent.organizationId, meta);
      if (decision === 'deny') return audit.record(uow, 'approval.denied', event);
      if (!(await approvers.canRequest(toAgent(row.agent), account.id, tx))) throw requestClosed();
      // The grant survives a sign-out, but no other revocation of the session.
      await oauthStorage.grants.open(
        {
          ...{ id: row.grantId, accountId: account.id, clientId: row.agentId, sessionId: session.id },
          ...{ offline: true, consented: true, payload: row.grantPayload as Payload },
          expiresAt: addSeconds(row.expiresAt, APPROVED_SECONDS),
        },
        tx,
      );
      await audit.record(uow, 'approval.approved', event);
    });
  }
}

const requestClosed = () => conflict('This request has already been decided or has expired.');
