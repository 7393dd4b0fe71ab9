/**
 * Approvals: an agent's request to a user to allow one action (CIBA), and the user's decision. The
 * grant is created in the same transaction as the approval.
 */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { addSeconds, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Account, Approval as ApprovalRow, Prisma, Queryable } from '../../base/db/open.js';
import type { Limit } from '../../base/rate-limiter.js';
import { isStorable } from '../../base/text.js';
import type { Accounts } from '../accounts/accounts.js';
import { mailAddressOf, normalizeEmail } from '../accounts/fields.js';
import { AGENT_INCLUDE, type Agent, toAgent } from '../agents/active-agents.js';
import type { Audit, AuditActor, AuditEvent } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Payload } from '../oauth-storage/stores.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession } from '../sessions/sessions.js';

/** One action of an agent, as authorization details (RFC 9396). The user sees every member. */
export interface AgentAction {
  type: 'agent_action';
  /** Descriptions. */
  actions: string[];
  /** The object of the action. */
  identifier?: string | undefined;
  datatypes?: string[] | undefined;
  /** The API. */
  locations?: string[] | undefined;
  /** The values. */
  parameters?: Record<string, string | number | boolean> | undefined;
}

/** The access that an approval grants: exactly this, for one API. */
export interface ApprovalRequest {
  /** The identifier of the API. */
  resource: string;
  scopes: string[];
  actions: AgentAction[];
}

export interface NewApproval {
  /** The hash of `auth_req_id`, which only the agent knows. */
  requestId: string;
  agent: Agent;
  accountId: string;
  /** Lets the user relate the request to what the agent displays. */
  bindingMessage: string;
  asked: ApprovalRequest;
  /** The grant to create on approval, in the engine's format. */
  grant: { id: string; payload: Payload };
  /** The deadline for the decision. */
  expiresAt: Date;
}

/** An open request, as the user sees it. */
export interface Approval {
  id: string;
  agent: Pick<Agent, 'id' | 'agentId' | 'name' | 'organizationId'>;
  bindingMessage: string;
  asked: ApprovalRequest;
  createdAt: Date;
  expiresAt: Date;
}

export type Decision = 'approve' | 'deny';

export type ApprovalResult =
  | { kind: 'open' }
  | { kind: 'no' }
  | { kind: 'yes'; grantId: string; actions: AgentAction[]; authTime: Date; amr: string[] };

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lock'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
}

/** The lifetime of the token that an approval yields. */
export const APPROVED_SECONDS = 5 * MINUTE_SECONDS;
/** Limits requests, so that agents cannot wear users down by asking repeatedly. */
const BY_PAIR: Limit = { name: 'approval-pair', points: 10, seconds: HOUR_SECONDS };
const BY_AGENT: Limit = { name: 'approval-agent', points: 120, seconds: HOUR_SECONDS };

export type Approvals = ReturnType<typeof createApprovals>;

export function createApprovals(base: Base, { audit, accounts, oauthStorage }: Deps) {
  const { db, transact, clock, rateLimiter, mail } = base;

  return { findApprover, canRequest, request, resultFor, list, decide };

  /**
   * Returns the id of the user with this e-mail address or account id, if the agent can ask them.
   * One query serves known and unknown users, so that timing reveals no accounts. Throws
   * `rate_limited`.
   */
  async function findApprover(agent: Agent, hint: string): Promise<string | undefined> {
    await rateLimiter.consume(BY_AGENT, agent.id);
    if (!isStorable(hint)) return undefined; // the database would reject the query
    return related(agent, { OR: [{ id: hint }, { email: normalizeEmail(hint) }] });
  }

  /** Reports whether the agent can ask this user. */
  async function canRequest(agent: Agent, accountId: string): Promise<boolean> {
    return (await related(agent, { id: accountId })) !== undefined;
  }

  /**
   * Returns the id of the matching user if they own the agent and are in its organization, or if
   * they have given it a consent.
   */
  async function related(
    { id: clientId, claimed, owner, organizationId }: Agent,
    user: Prisma.AccountWhereInput,
    tx: Queryable = db,
  ): Promise<string | undefined> {
    if (!claimed) return undefined;
    const isOwner = { id: owner?.id ?? '', memberships: { some: { organizationId } } };
    const hasConsented = { consents: { some: { clientId } } };
    const found = await tx.account.findFirst({
      where: { AND: [user, { OR: [isOwner, hasConsented] }], status: 'active' },
      select: { id: true },
    });
    return found?.id;
  }

  /**
   * Stores the request and mails the user. Throws `conflict` while an earlier request to the same
   * user is open, or `rate_limited`.
   */
  async function request(
    { requestId, agent, accountId, bindingMessage, asked, grant, expiresAt }: NewApproval,
    meta: RequestMeta,
  ): Promise<void> {
    const pendingKey = `${agent.id} ${accountId}`;
    await rateLimiter.consume(BY_PAIR, pendingKey);
    const now = clock.now();
    const id = uuidv7(now);
    try {
      await transact(async (uow) => {
        const { tx, afterCommit } = uow;
        await tx.approval.updateMany({ where: { pendingKey, expiresAt: { lte: now } }, data: { pendingKey: null } });
        const { account, ...row } = await tx.approval.create({
          data: {
            ...{ id, requestId, agentId: agent.id, accountId, bindingMessage, pendingKey, createdAt: now, expiresAt },
            request: asked as unknown as Prisma.InputJsonObject,
            grantId: grant.id,
            grantPayload: grant.payload as Prisma.InputJsonObject,
          },
          include: { account: true },
        });
        const by = { kind: 'agent' as const, id: agent.id };
        await audit.record(uow, 'approval.requested', approvalEvent(row, by, agent.organizationId, meta));
        // An unverified address may belong to someone else, who must not learn about the agents.
        if (account.emailVerified) {
          afterCommit(() => mail.send(mailAddressOf(account), 'approval-requested', { agent: agent.name }));
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
      return { kind: 'yes', grantId, actions: requestOf(row).actions, authTime: authTime!, amr: amr as string[] };
    }
    return row?.status === 'pending' && isStillOwner(row, row.account) ? { kind: 'open' } : { kind: 'no' };
  }

  /** Returns the user's open requests, oldest first. */
  async function list(account: Account): Promise<Approval[]> {
    const rows = await db.approval.findMany({
      where: { accountId: account.id, status: 'pending', expiresAt: { gt: clock.now() } },
      include: { agent: true },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    });
    return rows.filter((row) => isStillOwner(row, account)).map(toApproval);
  }

  /**
   * Stores the user's decision; one of several concurrent decisions succeeds. Throws `not_found` if
   * the request is not for this user, or `conflict` if it is decided, expired or no longer allowed.
   */
  async function decide(
    { account, session, amr }: AuthenticatedSession,
    id: string,
    decision: Decision,
    meta: RequestMeta,
  ): Promise<void> {
    await transact(async (uow) => {
      const { tx } = uow;
      const current = await accounts.lock(account.id, tx); // serializes with password changes and suspensions
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
          authTime: session.authTime,
          amr,
        },
      });
      if (count !== 1 || !isStillOwner(row, current)) throw expired();
      const event = approvalEvent(row, account.id, row.agent.organizationId, meta);
      if (decision === 'deny') return audit.record(uow, 'approval.denied', event);
      if (!(await related(toAgent(row.agent), { id: account.id }, tx))) throw expired();
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

/**
 * Reports whether the request still addresses the account's owner. After a password change, the
 * owner may be another person.
 */
function isStillOwner({ createdAt }: Pick<ApprovalRow, 'createdAt'>, account: Account | null): boolean {
  const { status, passwordChangedAt } = account ?? {};
  return status === 'active' && !(passwordChangedAt && passwordChangedAt > createdAt);
}

const requestOf = ({ request }: Pick<ApprovalRow, 'request'>) => request as unknown as ApprovalRequest;

function approvalEvent(
  row: ApprovalRow,
  by: string | AuditActor,
  organizationId: string,
  meta: RequestMeta,
): AuditEvent {
  const { id, agentId: clientId, accountId } = row;
  const { resource, scopes, actions } = requestOf(row);
  const detail = { approval: id, resource, scopes, actions: actions.flatMap((action) => action.actions) };
  return { by, accountId, clientId, organizationId, meta, detail };
}

const toApproval = (row: ApprovalRow & { agent: Approval['agent'] }): Approval => ({
  id: row.id,
  agent: row.agent,
  bindingMessage: row.bindingMessage,
  asked: requestOf(row),
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
});

const expired = () => conflict('This request has already been decided or has expired.');
