/**
 * Agents: programs that act for themselves, each in one organization and within its capabilities. An agent has one key, which is its
 * secret as an OAuth client as well; only its hash is stored. What agents ask of people is not here.
 */
import { randomUUID } from 'node:crypto';
import type { Announcements } from '../../base/announcements.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Prisma, Queryable } from '../../base/db/open.js';
import { conflict, forbidden, invalidRequest, isTaken, notFound } from '../../base/errors.js';
import type { Accounts } from '../accounts/accounts.js';
import { generateKey, KEY_FORMATS, lookupOf } from '../api-keys/formats.js';
import type { Artifacts } from '../artifacts/artifacts.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import { type Caller, systemCaller } from '../caller.js';
import {
  type Actor,
  isFitName,
  NAME_FAULT,
  normalizeName,
  type Organizations,
} from '../organizations/organizations.js';
import { ADMIN_CAPABILITY } from '../resources/capabilities.js';
import type { Resources } from '../resources/resources.js';
import { AGENT_PREFIX, type Agent, toAgent, WITH_PEOPLE } from './living.js';
import type { AgentTokens } from './tokens.js';

export interface NewAgent {
  agentId: string;
  name: string;
  capabilities: string[];
}

/** An agent with a new key. The secrets are told here and never again. */
export interface FreshAgent {
  agent: Agent;
  key: string;
  token: string;
}

/** Who does something with an agent: the agent itself, or somebody in its organization. */
export type AgentActor = { agent: Agent } | { member: Actor };

interface Needs {
  db: Database;
  clock: Clock;
  audit: Audit;
  announcements: Announcements;
  accounts: Pick<Accounts, 'hold'>;
  organizations: Organizations;
  resources: Pick<Resources, 'capabilities'>;
  artifacts: Pick<Artifacts, 'grants'>;
  tokens: AgentTokens;
}

const UNCLAIMED_SECONDS = 7 * DAY_SECONDS;
const MAX_AGENTS = 1000;
const SWEEP_AT_ONCE = 500;
/** It stands in addresses, and is never taken for the client id of another agent. */
const AGENT_ID = /^(?!agt_)[A-Za-z0-9][\w.:@-]{0,99}$/;

export type Agents = ReturnType<typeof createAgents>;

export function createAgents(needs: Needs) {
  const { db, clock, audit, announcements, accounts, organizations, resources, artifacts, tokens } = needs;
  return { onboardStranger, onboardInto, listFor, findFor, rotateKey, remove, forgetAll, sweep };

  /**
   * An agent that nobody vouches for. It gets an organization of its own that holds nothing else, and ends after a week unless a person
   * claims it with the token that comes back. Refuses with `invalid_request` by field, and with `insufficient_role` what only
   * administrators give.
   */
  async function onboardStranger(input: NewAgent, caller: Caller): Promise<FreshAgent & { claimToken: string }> {
    const settled = settle(input);
    if (settled.capabilities.includes(ADMIN_CAPABILITY)) {
      throw forbidden('insufficient_role', `Only an administrator of an organization gives "${ADMIN_CAPABILITY}".`);
    }
    const claimToken = randomToken();
    const expiresAt = addSeconds(clock.now(), UNCLAIMED_SECONDS);
    const { key, agent } = await db.$transaction(async (tx) => {
      const { id: organizationId } = await organizations.createEmpty(settled.name, tx);
      return write({ ...settled, organizationId, claimTokenHash: sha256(claimToken), expiresAt }, caller, tx);
    });
    return { agent, key, token: await tokens.sign(agent), claimToken };
  }

  /**
   * An agent of an organization, for one of its administrators. Refuses with `invalid_request` by field, as `organizations.demand` does,
   * and with `conflict` when another one is called so there.
   */
  async function onboardInto(
    organizationId: string,
    maker: Account,
    input: NewAgent,
    caller: Caller,
  ): Promise<FreshAgent> {
    const actor: Actor = { accountId: maker.id };
    await organizations.demand(actor, organizationId, 'admin'); // a stranger makes nobody wait
    const settled = settle(input);
    try {
      const { key, agent } = await db.$transaction(async (tx) => {
        const now = await accounts.hold(maker.id, tx);
        // Whoever resets the password takes an account back: a login that ends by it leaves no agent behind.
        if (now?.passwordChangedAt?.getTime() !== maker.passwordChangedAt?.getTime()) throw changedMeanwhile();
        await organizations.lock(organizationId, tx);
        await organizations.demand(actor, organizationId, 'admin', tx);
        if ((await tx.agent.count({ where: { organizationId } })) >= MAX_AGENTS) {
          throw conflict(`An organization can have at most ${MAX_AGENTS} agents.`);
        }
        return write({ ...settled, organizationId, ownerId: maker.id }, caller, tx);
      });
      return { agent, key, token: await tokens.sign(agent) };
    } catch (error) {
      if (!isTaken(error)) throw error;
      throw conflict('There is an agent with this id already.', { agent_id: 'This id is taken in the organization.' });
    }
  }

  /** Those of one organization, or of all where the member is; the oldest first. Refuses as `organizations.demand` does. */
  async function listFor(member: Actor, organizationId?: string): Promise<Agent[]> {
    const rows = await db.agent.findMany({
      where: { organizationId: { in: await reached(member, organizationId) } },
      include: WITH_PEOPLE,
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
    });
    return rows.map(toAgent);
  }

  /**
   * By the id that it was given, or by its client id. An agent finds itself only. Refuses with `not_found`, and with `invalid_request`
   * when several organizations have one that is called so.
   */
  async function findFor(actor: AgentActor, name: string, organizationId?: string): Promise<Agent> {
    if ('agent' in actor) {
      if (name === actor.agent.id || name === actor.agent.agentId) return actor.agent;
      throw noSuchAgent();
    }
    const [row, another] = await db.agent.findMany({
      where: {
        OR: [{ id: name }, { agentId: name }],
        organizationId: { in: await reached(actor.member, organizationId) },
      },
      include: WITH_PEOPLE,
      take: 2,
    });
    if (!row) throw noSuchAgent();
    if (another) throw invalidRequest('Several agents are called so.', { organization_id: 'Name the organization.' });
    return toAgent(row);
  }

  /** Another key; the old one, and all that came from it, is refused from now on. Refuses as `demand` does, and with `conflict`. */
  async function rotateKey(actor: AgentActor, agent: Agent, caller: Caller): Promise<FreshAgent> {
    await demand(actor, agent);
    const { key, data } = mint();
    // Whoever holds the key now answers for what is done with it.
    const holder = 'member' in actor ? { ownerId: actor.member.accountId } : undefined;
    const rotated = await db.$transaction(async (tx) => {
      if (holder) await accounts.hold(holder.ownerId, tx); // it does not go away before the key is theirs
      await demand(actor, agent, tx);
      // Of two who replace it at once one does: the other would be told a key that is dead already.
      const where = { id: agent.id, keyId: agent.keyId };
      const { count } = await tx.agent.updateMany({ where, data: { ...data, ...holder } });
      if (count === 0) throw conflict('The key was replaced a moment ago.');
      await artifacts.grants.end({ clientId: agent.id }, tx);
      await note('agent.key_rotated', agent, actor, caller, tx);
      return toAgent(await tx.agent.findUniqueOrThrow({ where: { id: agent.id }, include: WITH_PEOPLE }));
    });
    await announcements.announce('agents', agent.id);
    return { agent: rotated, key, token: await tokens.sign(rotated) };
  }

  /** The agent, its key, its tokens and all that people allowed it are gone from now on. Refuses as `demand` does. */
  async function remove(actor: AgentActor, agent: Agent, caller: Caller): Promise<void> {
    await demand(actor, agent);
    await db.$transaction(async (tx) => {
      await demand(actor, agent, tx);
      await note('agent.deleted', agent, actor, caller, tx);
      if ((await erase([agent.id], tx)) === 0) throw noSuchAgent();
      await organizations.removeEmpty(agent.organizationId, tx); // that of a stranger
    });
    await announcements.announce('agents', agent.id);
  }

  /** Deletes all agents that an account made. Part of a verb that announces the account. */
  async function forgetAll(accountId: string, tx: Queryable): Promise<void> {
    const made = await tx.agent.findMany({ where: { ownerId: accountId }, select: { id: true } });
    await erase(
      made.map(({ id }) => id),
      tx,
    );
  }

  /** Deletes those whose time is over, with the organizations that were made for them. Returns how many there were. */
  async function sweep(): Promise<number> {
    const where = { expiresAt: { lte: clock.now() } };
    const select = { id: true, agentId: true, organizationId: true };
    const over = await db.agent.findMany({ where, select, take: SWEEP_AT_ONCE });
    let swept = 0;
    for (const { id, agentId, organizationId } of over) {
      await db.$transaction(async (tx) => {
        const { count } = await tx.agent.deleteMany({ where: { id, ...where } }); // unless it was claimed meanwhile
        if (count === 0) return;
        await organizations.removeEmpty(organizationId, tx);
        const about = { clientId: id, organizationId, detail: { agent_id: agentId } };
        await audit.record({ action: 'agent.expired', actor: { kind: 'system' }, caller: systemCaller, ...about }, tx);
        swept += 1;
      });
    }
    return swept;
  }

  /** Returns how many there were. */
  async function erase(ids: string[], tx: Queryable): Promise<number> {
    for (const clientId of ids) await artifacts.grants.end({ clientId }, tx);
    await tx.consent.deleteMany({ where: { clientId: { in: ids } } });
    return (await tx.agent.deleteMany({ where: { id: { in: ids } } })).count;
  }

  /** Agents are managed by administrators of their organization, and by themselves. Refuses as `organizations.demand` does. */
  async function demand(actor: AgentActor, agent: Agent, tx: Queryable = db): Promise<void> {
    if ('member' in actor) await organizations.demand(actor.member, agent.organizationId, 'admin', tx);
    else if (actor.agent.id !== agent.id) throw noSuchAgent();
  }

  async function reached(member: Actor, organizationId: string | undefined): Promise<string[]> {
    if (!organizationId) return (await organizations.visibleTo(member)).map(({ id }) => id);
    await organizations.demand(member, organizationId, 'viewer');
    return [organizationId];
  }

  /** What is asked for, as it is stored. */
  function settle({ agentId, name: givenName, capabilities: wanted }: NewAgent): NewAgent {
    const name = normalizeName(givenName);
    const known = resources.capabilities().map((capability) => capability.name);
    const unknown = wanted.find((capability) => !known.includes(capability));
    const faults = {
      ...(!AGENT_ID.test(agentId) && {
        agent_id: 'Use at most 100 letters, digits and _ . : @ -, beginning with a letter or digit, and not with agt_.',
      }),
      ...(!isFitName(name) && { agent_name: NAME_FAULT }),
      ...(wanted.length === 0 && { capabilities: 'Name at least one.' }),
      ...(unknown !== undefined && { capabilities: `There is no ${unknown}.` }),
    };
    if (Object.keys(faults).length > 0) throw invalidRequest('Some values cannot be used.', faults);
    return { agentId, name, capabilities: [...new Set(wanted)] };
  }

  async function write(
    data: NewAgent &
      Pick<Prisma.AgentUncheckedCreateInput, 'organizationId' | 'ownerId' | 'claimTokenHash' | 'expiresAt'>,
    caller: Caller,
    tx: Queryable,
  ): Promise<{ agent: Agent; key: string }> {
    const { key, data: minted } = mint();
    const id = `${AGENT_PREFIX}${randomUUID()}`;
    const row = await tx.agent.create({
      data: { ...data, ...minted, id, createdAt: clock.now() },
      include: WITH_PEOPLE,
    });
    const agent = toAgent(row);
    const actor: AgentActor = data.ownerId ? { member: { accountId: data.ownerId } } : { agent };
    await note('agent.onboarded', agent, actor, caller, tx, { capabilities: agent.capabilities });
    return { agent, key };
  }

  function mint() {
    const key = generateKey(KEY_FORMATS.ocs_live);
    const keyLookup = lookupOf(key, KEY_FORMATS.ocs_live);
    return { key, data: { keyId: `key_${randomUUID()}`, keyLookup, keyHash: sha256(key) } };
  }

  async function note(
    action: 'agent.onboarded' | 'agent.key_rotated' | 'agent.deleted',
    { id, agentId, organizationId, owner }: Agent,
    by: AgentActor,
    caller: Caller,
    tx: Queryable,
    more: AuditEntry['detail'] = {},
  ): Promise<void> {
    const actor: AuditEntry['actor'] =
      'member' in by ? { kind: 'account', id: by.member.accountId } : { kind: 'agent', id: by.agent.id };
    const detail = { agent_id: agentId, ...more };
    await audit.record({ action, actor, clientId: id, organizationId, accountId: owner?.id, caller, detail }, tx);
  }
}

const noSuchAgent = () => notFound('There is no such agent.');
const changedMeanwhile = () => conflict('The account was changed at this moment. Please try again.');
