/**
 * Agents: programs with credentials of their own. Each belongs to one organization and can use only
 * its capabilities.
 * Users' approvals and delegations for agents are in core/agent-authorization.
 */

import { conflict, invalidRequest, notFound } from '../../base/app-error.js';
import { batchesOf } from '../../base/batches.js';
import type { Clock } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import { type Audit, SYSTEM } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Organizations } from '../organizations/organizations.js';
import { AGENT_INCLUDE, type Agent, toAgent } from './active-agents.js';
import { type AgentActor, agentEvent } from './actor.js';
import { createAgentList } from './agent-list.js';
import { type FreshAgent, mintKey } from './key.js';
import type { Onboarding } from './onboarding.js';
import type { AgentTokens } from './tokens.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Organizations;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  tokens: AgentTokens;
  onboarding: Onboarding;
}

const BATCH_SIZE = 500;
/** Limits the work of one sweep. */
const MAX_SWEPT_BATCHES = 20;

type ExpiredAgent = Pick<Agent, 'id' | 'agentId' | 'organizationId'>;

export type Agents = ReturnType<typeof createAgents>;

export function createAgents(deps: Deps) {
  const { db, transact, clock, audit, invalidationBus, accounts, organizations, oauthStorage, tokens, onboarding } =
    deps;
  const { listFor, countFor, accessibleOrganizationIds } = createAgentList({ db, organizations });

  return { onboarding, listFor, countFor, findFor, rotateKey, remove, removeAllFor, sweep };

  /**
   * Returns the agent with this agent id or client id. An agent can find only itself. Throws
   * `not_found`, or `invalid_request` if agents of several organizations have this id.
   */
  async function findFor(actor: AgentActor, idOrAgentId: string, organizationId?: string): Promise<Agent> {
    if ('agent' in actor) {
      if (idOrAgentId === actor.agent.id || idOrAgentId === actor.agent.agentId) return actor.agent;
      throw agentNotFound();
    }
    const [row, another] = await db.agent.findMany({
      where: {
        OR: [{ id: idOrAgentId }, { agentId: idOrAgentId }],
        organizationId: { in: await accessibleOrganizationIds(actor.member, organizationId) },
      },
      include: AGENT_INCLUDE,
      take: 2,
    });
    if (!row) throw agentNotFound();
    if (another) throw invalidRequest('Several agents have this id.', { organization_id: 'Specify the organization.' });
    return toAgent(row);
  }

  /**
   * Replaces the key and revokes every token that was issued with the old one. A member who rotates
   * the key becomes the owner. Throws as `requireManager` does, or `conflict` after a concurrent
   * rotation.
   */
  async function rotateKey(actor: AgentActor, agent: Agent, meta: RequestMeta): Promise<FreshAgent> {
    await requireManager(actor, agent);
    const { key, data } = mintKey();
    const newOwner = 'member' in actor ? { ownerId: actor.member.accountId } : undefined;
    const rotated = await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      if ('user' in actor) await accounts.lockActing(actor.user, tx);
      await requireManager(actor, agent, tx);
      // Of two concurrent rotations, only one succeeds: the other would return a revoked key.
      const where = { id: agent.id, keyId: agent.keyId };
      const { count } = await tx.agent.updateMany({ where, data: { ...data, ...newOwner } });
      if (count === 0) throw conflict('The key was just rotated by another request.');
      await oauthStorage.grants.revokeWhere({ clientIds: [agent.id] }, tx);
      await audit.record(uow, 'agent.key_rotated', agentEvent(agent, actor, meta));
      afterCommit(() => invalidationBus.publish('agents', agent.id));
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id: agent.id }, include: AGENT_INCLUDE }));
    });
    return { agent: rotated, key, token: await tokens.sign(rotated) };
  }

  /**
   * Deletes the agent with its key, its tokens and the consents that users gave it. Throws as
   * `requireManager` does.
   */
  async function remove(actor: AgentActor, agent: Agent, meta: RequestMeta): Promise<void> {
    await requireManager(actor, agent);
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      await requireManager(actor, agent, tx);
      await audit.record(uow, 'agent.deleted', agentEvent(agent, actor, meta));
      if ((await deleteAgents([agent.id], tx)) === 0) throw agentNotFound();
      await organizations.removeEmpty(agent.organizationId, tx); // an unclaimed agent has an organization of its own
      afterCommit(() => invalidationBus.publish('agents', agent.id));
    });
  }

  /**
   * Deletes the agents that an account owns; with `before`, only those it owned before that time.
   * A claim creates a membership, so the creation of the membership is the time of the claim.
   * Returns the number of deleted agents. The caller must invalidate the account, which also
   * invalidates cached agents.
   */
  async function removeAllFor(accountId: string, tx: Queryable, before?: Date): Promise<number> {
    const ownedEarlier = before && {
      createdAt: { lt: before },
      organization: { memberships: { none: { accountId, createdAt: { gte: before } } } },
    };
    const owned = await tx.agent.findMany({ where: { ownerId: accountId, ...ownedEarlier }, select: { id: true } });
    return deleteAgents(
      owned.map(({ id }) => id),
      tx,
    );
  }

  /** Deletes expired agents and their organizations. Returns the number of deleted agents. */
  async function sweep(): Promise<number> {
    const where = { expiresAt: { lte: clock.now() } };
    const select = { id: true, agentId: true, organizationId: true };
    let deletedCount = 0;
    for (let batches = 0; batches < MAX_SWEPT_BATCHES; batches += 1) {
      const expired = await db.agent.findMany({ where, select, take: BATCH_SIZE });
      for (const agent of expired) if (await removeIfExpired(agent)) deletedCount += 1;
      if (expired.length < BATCH_SIZE) break;
    }
    return deletedCount;
  }

  /** Deletes the agent unless it was claimed concurrently. Returns whether it was deleted. */
  async function removeIfExpired({ id, agentId, organizationId }: ExpiredAgent): Promise<boolean> {
    return transact(async (uow) => {
      const { count } = await uow.tx.agent.deleteMany({ where: { id, expiresAt: { lte: clock.now() } } });
      if (count === 0) return false;
      await organizations.removeEmpty(organizationId, uow.tx);
      const detail = { agent_id: agentId };
      await audit.record(uow, 'agent.expired', { by: SYSTEM, clientId: id, organizationId, meta: systemMeta, detail });
      return true;
    });
  }

  /** Deletes agents, their grants and their consents. Returns the number of deleted agents. */
  async function deleteAgents(ids: string[], tx: Queryable): Promise<number> {
    let deletedCount = 0;
    for (const batch of batchesOf(ids, BATCH_SIZE)) {
      await oauthStorage.grants.revokeWhere({ clientIds: batch }, tx);
      await tx.consent.deleteMany({ where: { clientId: { in: batch } } });
      deletedCount += (await tx.agent.deleteMany({ where: { id: { in: batch } } })).count;
    }
    return deletedCount;
  }

  /**
   * Throws unless the actor is the agent itself or an admin of its organization. Throws as
   * `organizations.requireMember` does, or `not_found`.
   */
  async function requireManager(actor: AgentActor, agent: Agent, tx: Queryable = db): Promise<void> {
    if ('member' in actor) await organizations.requireMember(actor.member, agent.organizationId, 'admin', tx);
    else if (actor.agent.id !== agent.id) throw agentNotFound();
  }
}

const agentNotFound = () => notFound('There is no such agent.');
