/** Approvals: an agent's request to a user to allow one action (CIBA), and its result. */

import { conflict, isUniqueViolation } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Account, Prisma } from '../../base/db/open.js';
import { LIMITS } from '../../base/limits.js';
import { createPageOrder, mapPage, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import { mailAddressOf } from '../accounts/fields.js';
import type { Agent } from '../agents/active-agents.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Payload } from '../oauth-storage/stores.js';
import {
  type AgentAction,
  type Approval,
  type ApprovalRequest,
  approvalEvent,
  isStillOwner,
  requestOf,
  toApproval,
} from './approval.js';
import { createApprovers } from './approvers.js';
import { createDecisions } from './decisions.js';

export interface NewApproval {
  /** The hash of `auth_req_id`, which only the agent knows. */
  requestId: string;
  agent: Agent;
  accountId: string;
  /** Lets the user relate the request to what the agent displays. */
  bindingMessage: string;
  requested: ApprovalRequest;
  /** The grant to create on approval, in the engine's format. */
  grant: { id: string; payload: Payload };
  /** The deadline for the decision. */
  expiresAt: Date;
}

/** `denied` also stands for an unknown request, and for one that `isStillOwner` rejects. */
export type ApprovalResult =
  | { kind: 'open' }
  | { kind: 'denied' }
  | { kind: 'approved'; grantId: string; actions: AgentAction[]; authTime: Date; amr: string[] };

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lockActing'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
}

/** Limits the requests of one agent to one user, so that repetition cannot wear the user down. */
const REQUESTS_BY_AGENT_AND_USER = LIMITS['approval-pair'];

const BY_AGE = createPageOrder({ list: 'approvals', date: 'createdAt', key: 'id', direction: 'asc' });

export type Approvals = ReturnType<typeof createApprovals>;

export function createApprovals(base: Base, { audit, accounts, oauthStorage }: Deps) {
  const { db, transact, clock, rateLimiter, mailer } = base;

  const approvers = createApprovers(base);
  const { findApprover, canRequest } = approvers;
  const { decide } = createDecisions(base, { audit, accounts, oauthStorage, approvers });

  return { findApprover, canRequest, request, resultFor, list, countFor, decide };

  /**
   * Stores the request and mails the user. Throws `conflict` while an earlier request to the same
   * user is open, or `rate_limited`.
   */
  async function request(
    { requestId, agent, accountId, bindingMessage, requested, grant, expiresAt }: NewApproval,
    meta: RequestMeta,
  ): Promise<void> {
    const pendingKey = `${agent.id} ${accountId}`;
    await rateLimiter.consume(REQUESTS_BY_AGENT_AND_USER, pendingKey);
    const now = clock.now();
    const id = uuidv7(now);
    try {
      await transact(async (uow) => {
        const { tx, afterCommit } = uow;
        // The unique key of an expired request must not block the new one.
        await tx.approval.updateMany({ where: { pendingKey, expiresAt: { lte: now } }, data: { pendingKey: null } });
        const { account, ...row } = await tx.approval.create({
          data: {
            ...{ id, requestId, agentId: agent.id, accountId, bindingMessage, pendingKey, createdAt: now, expiresAt },
            request: requested as unknown as Prisma.InputJsonObject,
            grantId: grant.id,
            grantPayload: grant.payload as Prisma.InputJsonObject,
          },
          include: { account: true },
        });
        const by = { kind: 'agent' as const, id: agent.id };
        await audit.record(uow, 'approval.requested', approvalEvent(row, by, agent.organizationId, meta));
        // An unverified address may belong to someone else, who must not learn about the agents.
        if (account.emailVerified) {
          afterCommit(() => mailer.send(mailAddressOf(account), 'approval-requested', { agent: agent.name }));
        }
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('An earlier request to this user is still open.');
    }
  }

  /**
   * Returns the result of the request. An approval can be read repeatedly: the token endpoint
   * enforces its single use.
   */
  async function resultFor(requestId: string): Promise<ApprovalResult> {
    const row = await db.approval.findUnique({ where: { requestId }, include: { account: true } });
    if (row?.status === 'approved') {
      const { grantId, authTime, amr } = row;
      return { kind: 'approved', grantId, actions: requestOf(row).actions, authTime: authTime!, amr: amr as string[] };
    }
    return row?.status === 'pending' && isStillOwner(row, row.account) ? { kind: 'open' } : { kind: 'denied' };
  }

  /** Returns a page of the user's open requests, oldest first. */
  async function list(account: Account, page: PageRequest): Promise<Page<Approval>> {
    const rows = await db.approval.findMany({
      where: { ...openFor(account), ...BY_AGE.after(page) },
      include: { agent: true },
      orderBy: BY_AGE.orderBy,
      take: BY_AGE.take(page),
    });
    return mapPage(BY_AGE.toPage(rows, page), toApproval);
  }

  /** Returns the number of the user's open requests. */
  async function countFor(account: Account): Promise<number> {
    return db.approval.count({ where: openFor(account) });
  }

  /** Excludes requests that `isStillOwner` rejects. */
  function openFor({ id, passwordChangedAt }: Account): Prisma.ApprovalWhereInput {
    const createdAt = passwordChangedAt && { createdAt: { gte: passwordChangedAt } };
    return { accountId: id, status: 'pending', expiresAt: { gt: clock.now() }, ...createdAt };
  }
}
