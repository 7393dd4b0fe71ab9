/** Finds active agents by client id or by key. */

import type { Clock } from '../../base/clock.js';
import { constantTimeEqual, sha256 } from '../../base/crypto.js';
import type { Account, Database, Prisma } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { formatOf, KEY_FORMATS, prefixOf } from '../api-keys/formats.js';

export interface Agent {
  /** The OAuth client id (`agt_…`), which is also the subject of its tokens. */
  id: string;
  /** The id that its creator chose, unique in the organization. */
  agentId: string;
  name: string;
  organizationId: string;
  /** The scopes that it can request. */
  capabilities: string[];
  /** Whether an account has taken ownership. An unclaimed agent has fewer rights, and expires. */
  claimed: boolean;
  /** Undefined if the owner is suspended or has left the organization. */
  owner: Account | undefined;
  /** The id of the current key. Tokens that were issued with an earlier key are revoked. */
  keyId: string;
  /** SHA-256 of the key. */
  keyHash: string;
  /** When an unclaimed agent expires. */
  expiresAt: Date | undefined;
  createdAt: Date;
  updatedAt: Date;
}

/**
 * Relations loaded with every agent: its owner, and one active manager of its organization, if any.
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
/** A row without relations. */
export type AgentColumns = Prisma.AgentGetPayload<object>;

interface Deps {
  db: Database;
  clock: Clock;
  invalidationBus: InvalidationBus;
}

export const AGENT_PREFIX = 'agt_';
/** Topics whose changes can deactivate an agent. */
const INVALIDATING_TOPICS = ['accounts', 'agents', 'organizations'];

/** Reports whether a client id belongs to an agent. */
export const isAgentId = (clientId: string) => clientId.startsWith(AGENT_PREFIX);

export type ActiveAgents = ReturnType<typeof createActiveAgents>;

export function createActiveAgents({ db, clock, invalidationBus }: Deps) {
  const cache = createTtlCache<Agent>({ clock });
  for (const topic of INVALIDATING_TOPICS) invalidationBus.on(topic, () => cache.invalidate());

  return { find, findByKey };

  /**
   * Returns the active agent with this client id. Agents are cached for up to a second. A change
   * invalidates the cache in every process.
   */
  async function find(id: string): Promise<Agent | undefined> {
    const agent = isAgentId(id) ? await cache.getOrLoad(id, () => loadAgent(id)) : undefined;
    return agent && !isExpired(agent) ? agent : undefined;
  }

  /**
   * Returns the active agent with this key, or `'expired'`. Compares hashes in constant time.
   */
  async function findByKey(key: string): Promise<Agent | 'expired' | undefined> {
    const format = formatOf(key);
    if (format?.prefix !== KEY_FORMATS.ocs_live.prefix) return undefined;
    const hash = sha256(key);
    const rows = await db.agent.findMany({ where: { keyPrefix: prefixOf(key, format) }, include: AGENT_INCLUDE });
    const row = rows.find(({ keyHash }) => constantTimeEqual(keyHash, hash));
    if (!row) return undefined;
    const agent = toAgent(row);
    if (isExpired(agent)) return 'expired';
    return isManaged(row) ? agent : undefined;
  }

  async function loadAgent(id: string): Promise<Agent | undefined> {
    const row = await db.agent.findUnique({ where: { id }, include: AGENT_INCLUDE });
    return row && isManaged(row) ? toAgent(row) : undefined;
  }

  function isExpired({ expiresAt }: Agent): boolean {
    return expiresAt !== undefined && expiresAt <= clock.now();
  }
}

/**
 * Reports whether a user can still stop the agent, or it is unclaimed and expires anyway. An agent
 * belongs to its organization, so it stays active when its owner leaves. It becomes inactive when
 * every manager of the organization is suspended.
 */
function isManaged({ claimTokenHash, organization }: AgentRow): boolean {
  return claimTokenHash !== null || organization.memberships.length > 0;
}

/** Returns the agent of a row that was loaded with `AGENT_INCLUDE`. */
export function toAgent({ owner, organization: _organization, ...row }: AgentRow): Agent {
  return toAgentOf(row, owner && ownerInOrganization(row.organizationId, owner));
}

/** Returns the agent of a row. The owner, if any, must be a member of its organization. */
export function toAgentOf(row: AgentColumns, owner: Account | null | undefined): Agent {
  const { id, agentId, name, organizationId, capabilities, keyId, keyHash, createdAt, updatedAt } = row;
  return {
    ...{ id, agentId, name, organizationId, keyId, keyHash, createdAt, updatedAt },
    capabilities: capabilities as string[],
    claimed: row.claimTokenHash === null,
    owner: owner?.status === 'active' ? owner : undefined,
    expiresAt: row.expiresAt ?? undefined,
  };
}

function ownerInOrganization(
  organizationId: string,
  { memberships, ...owner }: NonNullable<AgentRow['owner']>,
): Account | undefined {
  return memberships.some((membership) => membership.organizationId === organizationId) ? owner : undefined;
}
