/**
 * Which agents live now, by what they call themselves with: their client id, or their key. What
 * becomes of them is in agents.ts.
 */

import type { Clock } from '../../base/clock.js';
import { constantTimeEqual, sha256 } from '../../base/crypto.js';
import type { Account, Database, Prisma } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { formatOf, KEY_FORMATS, lookupOf } from '../api-keys/formats.js';

/** An agent that lives. */
export interface Agent {
  /** `agt_…`: what it is called as an OAuth client, and in tokens. */
  id: string;
  /** What whoever made it calls it; unique in its organization. */
  agentId: string;
  name: string;
  organizationId: string;
  /** Names of scopes. */
  capabilities: string[];
  /** Whether a person answers for it. One that nobody answers for may less, and ends by itself. */
  claimed: boolean;
  /** The person who answers for it, while they are active and of its organization. */
  owner: Account | undefined;
  /** Of the key that counts now: what came from another one has ended. */
  keyId: string;
  /** SHA-256 of the key. */
  keyHash: string;
  /** When it ends, unless it is claimed before. */
  expiresAt: Date | undefined;
  createdAt: Date;
  updatedAt: Date;
}

/**
 * As an agent is read: with whoever answers for it, and one of those who manage its organization,
 * if there is anybody.
 */
export const AGENT_INCLUDE = {
  owner: { include: { memberships: { select: { organizationId: true } } } },
  organization: {
    select: {
      memberships: {
        where: { role: { in: ['owner', 'admin'] }, account: { status: 'active' } },
        select: { accountId: true },
        take: 1,
      },
    },
  },
} satisfies Prisma.AgentInclude;

export type AgentRow = Prisma.AgentGetPayload<{ include: typeof AGENT_INCLUDE }>;

interface Deps {
  db: Database;
  clock: Clock;
  invalidationBus: InvalidationBus;
}

export const AGENT_PREFIX = 'agt_';
/** Whatever of these changes, an agent may live no more. Each is announced after its commit. */
const ENDING_TOPICS = ['accounts', 'agents', 'organizations'];

export const isAgentId = (clientId: string) => clientId.startsWith(AGENT_PREFIX);

export type ActiveAgents = ReturnType<typeof createActiveAgents>;

export function createActiveAgents({ db, clock, invalidationBus }: Deps) {
  const recent = createTtlCache<Agent>({ clock });
  for (const topic of ENDING_TOPICS) invalidationBus.on(topic, () => recent.invalidate());

  return { find, findByKey };

  /**
   * The agent with this client id, if it lives, or lived a second ago; every process is also told
   * at once when one has ended.
   */
  async function find(id: string): Promise<Agent | undefined> {
    const agent = isAgentId(id) ? await recent.getOrLoad(id, () => read(id)) : undefined;
    return agent && !isExpired(agent) ? agent : undefined;
  }

  /**
   * The living agent behind a key: found by its first characters, compared by its hash in constant
   * time.
   */
  async function findByKey(key: string): Promise<Agent | 'expired' | undefined> {
    const format = formatOf(key);
    if (format?.prefix !== KEY_FORMATS.ocs_live.prefix) return undefined;
    const hash = sha256(key);
    const rows = await db.agent.findMany({ where: { keyLookup: lookupOf(key, format) }, include: AGENT_INCLUDE });
    const found = rows.find(({ keyHash }) => constantTimeEqual(keyHash, hash));
    if (!found) return undefined;
    const agent = toAgent(found);
    if (isExpired(agent)) return 'expired';
    return hasManager(found) ? agent : undefined;
  }

  async function read(id: string): Promise<Agent | undefined> {
    const row = await db.agent.findUnique({ where: { id }, include: AGENT_INCLUDE });
    return row && hasManager(row) ? toAgent(row) : undefined;
  }

  function isExpired({ expiresAt }: Agent): boolean {
    return expiresAt !== undefined && expiresAt <= clock.now();
  }
}

/**
 * An agent works for its organization, not for a person: it goes on when whoever made it leaves. It
 * stops while nobody is left who could stop it, because all who manage the organization are
 * suspended.
 */
function hasManager({ claimTokenHash, organization }: AgentRow): boolean {
  return claimTokenHash !== null || organization.memberships.length > 0;
}

export function toAgent(row: AgentRow): Agent {
  const { id, agentId, name, organizationId, capabilities, keyId, keyHash, owner, createdAt, updatedAt } = row;
  return {
    ...{ id, agentId, name, organizationId, keyId, keyHash, createdAt, updatedAt },
    capabilities: capabilities as string[],
    claimed: row.claimTokenHash === null,
    owner: ownerInOrganization(organizationId, owner),
    expiresAt: row.expiresAt ?? undefined,
  };
}

function ownerInOrganization(organizationId: string, owner: AgentRow['owner']): Account | undefined {
  if (owner?.status !== 'active') return undefined;
  const { memberships, ...account } = owner;
  return memberships.some((membership) => membership.organizationId === organizationId) ? account : undefined;
}
