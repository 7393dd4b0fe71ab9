/**
 * Onboarding of agents. An agent that registers itself is unclaimed and expires after a week.
 * Admins create agents in their organization.
 */
import { randomUUID } from 'node:crypto';
import { conflict, forbidden, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { randomToken, sha256 } from '../../base/crypto.js';
import type { Prisma } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit } from '../audit/audit.js';
import {
  type Actor,
  isValidName,
  NAME_ERROR,
  normalizeName,
  type Organizations,
} from '../organizations/organizations.js';
import type { Resources } from '../resources/resources.js';
import { ADMIN_CAPABILITY } from '../resources/scope.js';
import { AGENT_INCLUDE, AGENT_PREFIX, type Agent, toAgent } from './active-agents.js';
import { agentEvent } from './actor.js';
import { type FreshAgent, mintKey } from './key.js';
import type { AgentTokens } from './tokens.js';

export interface NewAgent {
  agentId: string;
  name: string;
  capabilities: string[];
}

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  accountLimits: AccountLimits;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Organizations;
  resources: Pick<Resources, 'capabilities'>;
  tokens: AgentTokens;
}

const UNCLAIMED_LIFETIME_SECONDS = 7 * DAY_SECONDS;
/** Safe in URLs, and never equal to the client id of another agent. */
const AGENT_ID_PATTERN = /^(?!agt_)[A-Za-z0-9][\w.:@-]{0,99}$/;

export type Onboarding = ReturnType<typeof createOnboarding>;

export function createOnboarding(deps: Deps) {
  const { transact, clock, audit, accountLimits, accounts, organizations, resources, tokens } = deps;

  return { onboardUnclaimed, onboardInto };

  /**
   * Creates an unclaimed agent in an organization of its own. It expires after a week unless a user
   * claims it with the returned claim token. Throws `invalid_request` by field, or
   * `insufficient_role` for a capability that only admins can grant.
   */
  async function onboardUnclaimed(input: NewAgent, meta: RequestMeta): Promise<FreshAgent & { claimToken: string }> {
    const validInput = validate(input);
    if (validInput.capabilities.includes(ADMIN_CAPABILITY)) {
      throw forbidden('insufficient_role', `Only an administrator of an organization can grant "${ADMIN_CAPABILITY}".`);
    }
    const claimToken = randomToken();
    const expiresAt = addSeconds(clock.now(), UNCLAIMED_LIFETIME_SECONDS);
    const { key, agent } = await transact(async (uow) => {
      const { id: organizationId } = await organizations.createEmpty(validInput.name, uow.tx);
      return insertAgent(uow, { ...validInput, organizationId, claimTokenHash: sha256(claimToken), expiresAt }, meta);
    });
    return { agent, key, token: await tokens.sign(agent), claimToken };
  }

  /**
   * Creates an agent in an organization, for one of its admins. Throws `invalid_request` by field,
   * as `organizations.requireMember` does, or `conflict` if the agent id is taken there.
   */
  async function onboardInto(
    organizationId: string,
    creator: ActingUser,
    input: NewAgent,
    meta: RequestMeta,
  ): Promise<FreshAgent> {
    const actor: Actor = { accountId: creator.account.id };
    await organizations.requireMember(actor, organizationId, 'admin'); // only admins can take the locks below
    const validInput = validate(input);
    try {
      const { key, agent } = await transact(async (uow) => {
        const { tx } = uow;
        await accountLimits.requireRoom('agents', await accounts.lockActing(creator, tx), tx);
        await organizations.lock(organizationId, tx);
        await organizations.requireMember(actor, organizationId, 'admin', tx);
        await accountLimits.requireRoomInOrganization('organizationAgents', organizationId, tx);
        return insertAgent(uow, { ...validInput, organizationId, ownerId: creator.account.id }, meta);
      });
      return { agent, key, token: await tokens.sign(agent) };
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('An agent with this id already exists.', { agent_id: 'This id is taken in the organization.' });
    }
  }

  /**
   * Returns the input with a normalized name and without duplicate capabilities. Throws
   * `invalid_request` by field.
   */
  function validate({ agentId, name: rawName, capabilities: requestedCapabilities }: NewAgent): NewAgent {
    const name = normalizeName(rawName);
    const knownNames = resources.capabilities().map((capability) => capability.name);
    const unknown = requestedCapabilities.find((capability) => !knownNames.includes(capability));
    const errors = {
      ...(!AGENT_ID_PATTERN.test(agentId) && {
        agent_id: 'Use at most 100 letters, digits and _ . : @ -. Start with a letter or digit, and not with agt_.',
      }),
      ...(!isValidName(name) && { agent_name: NAME_ERROR }),
      ...(requestedCapabilities.length === 0 && { capabilities: 'Specify at least one.' }),
      ...(unknown !== undefined && { capabilities: `Unknown capability: ${unknown}.` }),
    };
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values are invalid.', errors);
    return { agentId, name, capabilities: [...new Set(requestedCapabilities)] };
  }

  async function insertAgent(
    uow: UnitOfWork,
    data: NewAgent &
      Pick<Prisma.AgentUncheckedCreateInput, 'organizationId' | 'ownerId' | 'claimTokenHash' | 'expiresAt'>,
    meta: RequestMeta,
  ): Promise<{ agent: Agent; key: string }> {
    const { key, data: keyColumns } = mintKey();
    const id = `${AGENT_PREFIX}${randomUUID()}`;
    const row = await uow.tx.agent.create({
      data: { ...data, ...keyColumns, id, createdAt: clock.now() },
      include: AGENT_INCLUDE,
    });
    const agent = toAgent(row);
    const actor = data.ownerId ? { member: { accountId: data.ownerId } } : { agent };
    const { capabilities } = agent;
    await audit.record(uow, 'agent.onboarded', agentEvent(agent, actor, meta, { capabilities }));
    return { agent, key };
  }
}
