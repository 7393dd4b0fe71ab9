/**
 * How agents come: by themselves, for a week and for nobody, or made by an administrator of an
 * organization.
 */
import { randomUUID } from 'node:crypto';
import { conflict, forbidden, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Account, Database, Prisma, Queryable } from '../../base/db/open.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import {
  type Actor,
  isFitName,
  NAME_ERROR,
  normalizeName,
  type Organizations,
} from '../organizations/organizations.js';
import type { RequestMeta } from '../request-meta.js';
import type { Resources } from '../resources/resources.js';
import { ADMIN_CAPABILITY } from '../resources/scope.js';
import { AGENT_INCLUDE, AGENT_PREFIX, type Agent, toAgent } from './active-agents.js';
import { type FreshAgent, mintKey } from './key.js';
import type { AgentTokens } from './tokens.js';
import { type AgentActor, createAgentAudit } from './trail.js';

export interface NewAgent {
  agentId: string;
  name: string;
  capabilities: string[];
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  accounts: Pick<Accounts, 'lockUnchanged'>;
  organizations: Organizations;
  resources: Pick<Resources, 'capabilities'>;
  tokens: AgentTokens;
}

const UNCLAIMED_SECONDS = 7 * DAY_SECONDS;
const MAX_AGENTS = 1000;
/** It stands in addresses, and is never taken for the client id of another agent. */
const AGENT_ID = /^(?!agt_)[A-Za-z0-9][\w.:@-]{0,99}$/;

export function createOnboarding({ db, clock, audit, accounts, organizations, resources, tokens }: Deps) {
  const { record } = createAgentAudit({ audit });

  return { onboardStranger, onboardInto };

  /**
   * An agent that nobody vouches for. It gets an organization of its own that holds nothing else,
   * and ends after a week unless a person claims it with the token that comes back. Refuses with
   * `invalid_request` by field, and with `insufficient_role` what only administrators give.
   */
  async function onboardStranger(input: NewAgent, meta: RequestMeta): Promise<FreshAgent & { claimToken: string }> {
    const settled = settle(input);
    if (settled.capabilities.includes(ADMIN_CAPABILITY)) {
      throw forbidden('insufficient_role', `Only an administrator of an organization gives "${ADMIN_CAPABILITY}".`);
    }
    const claimToken = randomToken();
    const expiresAt = addSeconds(clock.now(), UNCLAIMED_SECONDS);
    const { key, agent } = await db.$transaction(async (tx) => {
      const { id: organizationId } = await organizations.createEmpty(settled.name, tx);
      return write({ ...settled, organizationId, claimTokenHash: sha256(claimToken), expiresAt }, meta, tx);
    });
    return { agent, key, token: await tokens.sign(agent), claimToken };
  }

  /**
   * An agent of an organization, for one of its administrators. Refuses with `invalid_request` by
   * field, as `organizations.requireExisting` does, and with `conflict` when another one is called
   * so there.
   */
  async function onboardInto(
    organizationId: string,
    maker: Account,
    input: NewAgent,
    meta: RequestMeta,
  ): Promise<FreshAgent> {
    const actor: Actor = { accountId: maker.id };
    await organizations.requireMember(actor, organizationId, 'admin'); // a stranger makes nobody wait
    const settled = settle(input);
    try {
      const { key, agent } = await db.$transaction(async (tx) => {
        await accounts.lockUnchanged(maker, tx);
        await organizations.lock(organizationId, tx);
        await organizations.requireMember(actor, organizationId, 'admin', tx);
        if ((await tx.agent.count({ where: { organizationId } })) >= MAX_AGENTS) {
          throw conflict(`An organization can have at most ${MAX_AGENTS} agents.`);
        }
        return write({ ...settled, organizationId, ownerId: maker.id }, meta, tx);
      });
      return { agent, key, token: await tokens.sign(agent) };
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('There is an agent with this id already.', { agent_id: 'This id is taken in the organization.' });
    }
  }

  /** What is asked for, as it is stored. */
  function settle({ agentId, name: givenName, capabilities: wanted }: NewAgent): NewAgent {
    const name = normalizeName(givenName);
    const known = resources.capabilities().map((capability) => capability.name);
    const unknown = wanted.find((capability) => !known.includes(capability));
    const errors = {
      ...(!AGENT_ID.test(agentId) && {
        agent_id: 'Use at most 100 letters, digits and _ . : @ -, beginning with a letter or digit, and not with agt_.',
      }),
      ...(!isFitName(name) && { agent_name: NAME_ERROR }),
      ...(wanted.length === 0 && { capabilities: 'Name at least one.' }),
      ...(unknown !== undefined && { capabilities: `There is no ${unknown}.` }),
    };
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values cannot be used.', errors);
    return { agentId, name, capabilities: [...new Set(wanted)] };
  }

  async function write(
    data: NewAgent &
      Pick<Prisma.AgentUncheckedCreateInput, 'organizationId' | 'ownerId' | 'claimTokenHash' | 'expiresAt'>,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<{ agent: Agent; key: string }> {
    const { key, data: minted } = mintKey();
    const id = `${AGENT_PREFIX}${randomUUID()}`;
    const row = await tx.agent.create({
      data: { ...data, ...minted, id, createdAt: clock.now() },
      include: AGENT_INCLUDE,
    });
    const agent = toAgent(row);
    const actor: AgentActor = data.ownerId ? { member: { accountId: data.ownerId } } : { agent };
    await record('agent.onboarded', agent, actor, meta, tx, { capabilities: agent.capabilities });
    return { agent, key };
  }
}
