/**
 * Approvals: what an agent asks of a person for one thing, and the person's yes or no. The grant
 * that comes of a yes is written with it, so that there is never one without the other; whoever
 * speaks with the agent asks here what was decided when the agent does.
 */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import { addSeconds, type Clock, HOUR_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import { uuidv7 } from '../../base/crypto.js';
import type { Account, Approval as ApprovalRow, Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Mail } from '../../base/mail.js';
import type { Limit, RateLimiter } from '../../base/rate-limiter.js';
import { isStorable } from '../../base/text.js';
import { type Accounts, mailAddressOf, normalizeEmail } from '../accounts/accounts.js';
import { AGENT_INCLUDE, type Agent, toAgent } from '../agents/active-agents.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Payload } from '../oauth-storage/store.js';
import type { RequestMeta } from '../request-meta.js';
import type { AuthenticatedSession } from '../sessions/sessions.js';

/**
 * One thing that an agent wants to do, as RFC 9396 has it. Every member of it is shown to the
 * person.
 */
export interface AgentAction {
  type: 'agent_action';
  /** In words. */
  actions: string[];
  /** On what. */
  identifier?: string | undefined;
  datatypes?: string[] | undefined;
  /** Where: the API that it is for. */
  locations?: string[] | undefined;
  /** With which values. */
  parameters?: Record<string, string | number | boolean> | undefined;
}

/** What is to be allowed, and nothing else: for one API. */
export interface ApprovalRequest {
  /** Its identifier. */
  resource: string;
  scopes: string[];
  actions: AgentAction[];
}

export interface NewApproval {
  /** By which the answer is asked for: the hash of a secret that the agent alone is told. */
  requestId: string;
  agent: Agent;
  accountId: string;
  /** What ties the question to what the person sees elsewhere. */
  bindingMessage: string;
  asked: ApprovalRequest;
  /** What a yes grants, as the protocol engine will want it. */
  grant: { id: string; payload: Payload };
  /** Until when it can be answered. */
  expiresAt: Date;
}

/** A question as the person sees it. */
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
  db: Database;
  clock: Clock;
  audit: Audit;
  rateLimiter: RateLimiter;
  mail: Mail;
  accounts: Pick<Accounts, 'lock'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
}

/** How long a token lives that comes of a yes. */
export const APPROVED_SECONDS = 5 * MINUTE_SECONDS;
/** Nobody is worn down by asking again and again. */
const BY_PAIR: Limit = { name: 'approval-pair', points: 10, seconds: HOUR_SECONDS };
const BY_AGENT: Limit = { name: 'approval-agent', points: 120, seconds: HOUR_SECONDS };

export type Approvals = ReturnType<typeof createApprovals>;

export function createApprovals({ db, clock, audit, rateLimiter, mail, accounts, oauthStorage }: Deps) {
  return { findApprover, canRequest, request, resultFor, list, decide };

  /**
   * The person with this e-mail address or id, if the agent may ask them. Whether there is nobody,
   * or somebody who has nothing to do with the agent: it is one and the same question to the
   * database. Refuses with `rate_limited`.
   */
  async function findApprover(agent: Agent, hint: string): Promise<string | undefined> {
    await rateLimiter.consume(BY_AGENT, agent.id);
    if (!isStorable(hint)) return undefined; // nobody is called so, and the database refuses to be asked
    return related(agent, { OR: [{ id: hint }, { email: normalizeEmail(hint) }] });
  }

  async function canRequest(agent: Agent, accountId: string): Promise<boolean> {
    return (await related(agent, { id: accountId })) !== undefined;
  }

  /**
   * Whoever answers for the agent, as long as they are in its organization, and whoever allowed it
   * something by themselves.
   */
  async function related(
    { id: clientId, claimed, owner, organizationId }: Agent,
    person: Prisma.AccountWhereInput,
    tx: Queryable = db,
  ): Promise<string | undefined> {
    if (!claimed) return undefined;
    const answersForIt = { id: owner?.id ?? '', memberships: { some: { organizationId } } };
    const allowedIt = { consents: { some: { clientId } } };
    const found = await tx.account.findFirst({
      where: { AND: [person, { OR: [answersForIt, allowedIt] }], status: 'active' },
      select: { id: true },
    });
    return found?.id;
  }

  /**
   * Puts the question. Refuses with `conflict` while an earlier one to the same person is open, and
   * with `rate_limited`.
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
      const account = await db.$transaction(async (tx) => {
        await tx.approval.updateMany({ where: { pendingKey, expiresAt: { lte: now } }, data: { pendingKey: null } });
        const made = await tx.approval.create({
          data: {
            ...{ id, requestId, agentId: agent.id, accountId, bindingMessage, pendingKey, createdAt: now, expiresAt },
            request: asked as unknown as Prisma.InputJsonObject,
            grantId: grant.id,
            grantPayload: grant.payload as Prisma.InputJsonObject,
          },
          include: { account: true },
        });
        await note('approval.requested', made, agent.organizationId, { kind: 'agent', id: agent.id }, meta, tx);
        return made.account;
      });
      // Whoever's address it is not must not learn what the person's agents do.
      if (account.emailVerified) mail.send(mailAddressOf(account), 'approval-requested', { agent: agent.name });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('An earlier question to this person is still open.');
    }
  }

  /**
   * What came of the question. A yes is told as often as it is asked for: that it counts once is
   * the token endpoint's business.
   */
  async function resultFor(requestId: string): Promise<ApprovalResult> {
    const row = await db.approval.findUnique({ where: { requestId }, include: { account: true } });
    if (row?.status === 'approved') {
      const { grantId, authTime, amr } = row;
      return { kind: 'yes', grantId, actions: requestOf(row).actions, authTime: authTime!, amr: amr as string[] };
    }
    return row?.status === 'pending' && isStillOwner(row, row.account) ? { kind: 'open' } : { kind: 'no' };
  }

  /** What the person can answer now, the oldest first. */
  async function list(account: Account): Promise<Approval[]> {
    const rows = await db.approval.findMany({
      where: { accountId: account.id, status: 'pending', expiresAt: { gt: clock.now() } },
      include: { agent: true },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    });
    return rows.filter((row) => isStillOwner(row, account)).map(toApproval);
  }

  /**
   * The person's answer. Of several at once one counts. Refuses with `not_found` what was never
   * asked of this person, and with `conflict` what was answered, has expired, or cannot be allowed
   * any more.
   */
  async function decide(
    { account, session, amr }: AuthenticatedSession,
    id: string,
    decision: Decision,
    meta: RequestMeta,
  ): Promise<void> {
    await db.$transaction(async (tx) => {
      const current = await accounts.lock(account.id, tx); // a new password, or a suspension, comes before this or after it
      const where = { id, accountId: account.id };
      const row = await tx.approval.findFirst({ where, include: { agent: { include: AGENT_INCLUDE } } });
      if (!row) throw notFound('There is no such question.');
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
      const actor = { kind: 'account' as const, id: account.id };
      const { organizationId } = row.agent;
      if (decision === 'deny') return note('approval.denied', row, organizationId, actor, meta, tx);
      if (!(await related(toAgent(row.agent), { id: account.id }, tx))) throw expired();
      // It outlives a sign-out, and nothing else that ends the login by which it was given.
      await oauthStorage.grants.open(
        {
          ...{ id: row.grantId, accountId: account.id, clientId: row.agentId, sessionId: session.id },
          ...{ offline: true, consented: true, payload: row.grantPayload as Payload },
          expiresAt: addSeconds(row.expiresAt, APPROVED_SECONDS),
        },
        tx,
      );
      await note('approval.approved', row, organizationId, actor, meta, tx);
    });
  }

  async function note(
    action: 'approval.requested' | 'approval.approved' | 'approval.denied',
    row: ApprovalRow,
    organizationId: string,
    actor: AuditEntry['actor'],
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    const { id, agentId: clientId, accountId } = row;
    const { resource, scopes, actions } = requestOf(row);
    const detail = { approval: id, resource, scopes, actions: actions.flatMap((action) => action.actions) };
    await audit.record({ action, actor, accountId, clientId, organizationId, meta, detail }, tx);
  }
}

/** Whoever took the account back, or suspended it, has not been asked. */
function isStillOwner({ createdAt }: Pick<ApprovalRow, 'createdAt'>, account: Account | null): boolean {
  const { status, passwordChangedAt } = account ?? {};
  return status === 'active' && !(passwordChangedAt && passwordChangedAt > createdAt);
}

const requestOf = ({ request }: Pick<ApprovalRow, 'request'>) => request as unknown as ApprovalRequest;

const toApproval = (row: ApprovalRow & { agent: Approval['agent'] }): Approval => ({
  id: row.id,
  agent: row.agent,
  bindingMessage: row.bindingMessage,
  asked: requestOf(row),
  createdAt: row.createdAt,
  expiresAt: row.expiresAt,
});

const expired = () => conflict('This question was answered already, or is not open any more.');
