/**
 * Agents: programs that act for themselves, each in one organization and within its capabilities.
 * Here they are found, get another key and go; how they come stands in onboarding.ts, and what they
 * ask of people in core/approvals.
 */

import { conflict, invalidRequest, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Actor, Organizations } from '../organizations/organizations.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';
import type { Resources } from '../resources/resources.js';
import { AGENT_INCLUDE, type Agent, toAgent } from './active-agents.js';
import { type FreshAgent, mintKey } from './key.js';
import { createOnboarding } from './onboarding.js';
import type { AgentTokens } from './tokens.js';
import { type AgentActor, createAgentAudit } from './trail.js';

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lock' | 'lockUnchanged'>;
  organizations: Organizations;
  resources: Pick<Resources, 'capabilities'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  tokens: AgentTokens;
}

const SWEEP_BATCH = 500;

export type Agents = ReturnType<typeof createAgents>;

export function createAgents(deps: Deps) {
  const { db, clock, audit, invalidationBus, accounts, organizations, oauthStorage, tokens } = deps;
  const onboarding = createOnboarding(deps);
  const { record } = createAgentAudit(deps);

  return { ...onboarding, listFor, findFor, rotateKey, remove, removeAllFor, sweep };

  /**
   * Those of one organization, or of all where the member is; the oldest first. Refuses as
   * `organizations.requireExisting` does.
   */
  async function listFor(member: Actor, organizationId?: string): Promise<Agent[]> {
    const rows = await db.agent.findMany({
      where: { organizationId: { in: await accessible(member, organizationId) } },
      include: AGENT_INCLUDE,
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    });
    return rows.map(toAgent);
  }

  /**
   * By the id that it was given, or by its client id. An agent finds itself only. Refuses with
   * `not_found`, and with `invalid_request` when several organizations have one that is called so.
   */
  async function findFor(actor: AgentActor, name: string, organizationId?: string): Promise<Agent> {
    if ('agent' in actor) {
      if (name === actor.agent.id || name === actor.agent.agentId) return actor.agent;
      throw agentNotFound();
    }
    const [row, another] = await db.agent.findMany({
      where: {
        OR: [{ id: name }, { agentId: name }],
        organizationId: { in: await accessible(actor.member, organizationId) },
      },
      include: AGENT_INCLUDE,
      take: 2,
    });
    if (!row) throw agentNotFound();
    if (another) throw invalidRequest('Several agents are called so.', { organization_id: 'Name the organization.' });
    return toAgent(row);
  }

  /**
   * Another key; the old one, and all that came from it, is refused from now on. Refuses as
   * `requireExisting` does, and with `conflict`.
   */
  async function rotateKey(actor: AgentActor, agent: Agent, meta: RequestMeta): Promise<FreshAgent> {
    await requireExisting(actor, agent);
    const { key, data } = mintKey();
    // Whoever holds the key now answers for what is done with it.
    const holder = 'member' in actor ? { ownerId: actor.member.accountId } : undefined;
    const rotated = await db.$transaction(async (tx) => {
      if (holder) await accounts.lock(holder.ownerId, tx); // it does not go away before the key is theirs
      await requireExisting(actor, agent, tx);
      // Of two who replace it at once one does: the other would be told a key that is dead already.
      const where = { id: agent.id, keyId: agent.keyId };
      const { count } = await tx.agent.updateMany({ where, data: { ...data, ...holder } });
      if (count === 0) throw conflict('The key was replaced a moment ago.');
      await oauthStorage.grants.revokeWhere({ clientId: agent.id }, tx);
      await record('agent.key_rotated', agent, actor, meta, tx);
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id: agent.id }, include: AGENT_INCLUDE }));
    });
    await invalidationBus.publish('agents', agent.id);
    return { agent: rotated, key, token: await tokens.sign(rotated) };
  }

  /**
   * The agent, its key, its tokens and all that people allowed it are gone from now on. Refuses as
   * `requireExisting` does.
   */
  async function remove(actor: AgentActor, agent: Agent, meta: RequestMeta): Promise<void> {
    await requireExisting(actor, agent);
    await db.$transaction(async (tx) => {
      await requireExisting(actor, agent, tx);
      await record('agent.deleted', agent, actor, meta, tx);
      if ((await erase([agent.id], tx)) === 0) throw agentNotFound();
      await organizations.removeEmpty(agent.organizationId, tx); // that of a stranger
    });
    await invalidationBus.publish('agents', agent.id);
  }

  /**
   * Deletes all agents that an account answers for, or those that were its own before a moment:
   * whoever claims one becomes a member of its organization then. Part of a verb that announces the
   * account. Returns how many there were.
   */
  async function removeAllFor(accountId: string, tx: Queryable, before?: Date): Promise<number> {
    const since = before && {
      createdAt: { lt: before },
      organization: { memberships: { none: { accountId, createdAt: { gte: before } } } },
    };
    const made = await tx.agent.findMany({ where: { ownerId: accountId, ...since }, select: { id: true } });
    return erase(
      made.map(({ id }) => id),
      tx,
    );
  }

  /**
   * Deletes those whose time is over, with the organizations that were made for them. Returns how
   * many there were.
   */
  async function sweep(): Promise<number> {
    const where = { expiresAt: { lte: clock.now() } };
    const select = { id: true, agentId: true, organizationId: true };
    const over = await db.agent.findMany({ where, select, take: SWEEP_BATCH });
    let swept = 0;
    for (const { id, agentId, organizationId } of over) {
      await db.$transaction(async (tx) => {
        const { count } = await tx.agent.deleteMany({ where: { id, ...where } }); // unless it was claimed meanwhile
        if (count === 0) return;
        await organizations.removeEmpty(organizationId, tx);
        const about = { clientId: id, organizationId, detail: { agent_id: agentId } };
        await audit.record({ action: 'agent.expired', actor: { kind: 'system' }, meta: systemMeta, ...about }, tx);
        swept += 1;
      });
    }
    return swept;
  }

  /** Returns how many there were. */
  async function erase(ids: string[], tx: Queryable): Promise<number> {
    for (const clientId of ids) await oauthStorage.grants.revokeWhere({ clientId }, tx);
    await tx.consent.deleteMany({ where: { clientId: { in: ids } } });
    return (await tx.agent.deleteMany({ where: { id: { in: ids } } })).count;
  }

  /**
   * Agents are managed by administrators of their organization, and by themselves. Refuses as
   * `organizations.requireExisting` does.
   */
  async function requireExisting(actor: AgentActor, agent: Agent, tx: Queryable = db): Promise<void> {
    if ('member' in actor) await organizations.requireMember(actor.member, agent.organizationId, 'admin', tx);
    else if (actor.agent.id !== agent.id) throw agentNotFound();
  }

  async function accessible(member: Actor, organizationId: string | undefined): Promise<string[]> {
    if (!organizationId) return (await organizations.visibleTo(member)).map(({ id }) => id);
    await organizations.requireMember(member, organizationId, 'viewer');
    return [organizationId];
  }
}

const agentNotFound = () => notFound('There is no such agent.');
