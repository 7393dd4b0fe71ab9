/**
 * Whom a token can be meant for: a registered API, or an agent. An app that wants an agent to act
 * for a person asks the person for a token with that agent as its audience
 * (`<ISSUER>/agents/agt_…`, as `resource`). The person then reads the agent's name and what it
 * wants to do, and their yes is a part of their consent to that app. With that token the agent acts
 * for them: see core/delegations.
 */
import { type Resource, type Resources, UNREGISTERED } from '../resources/resources.js';
import { isForClients } from '../resources/scope.js';
import { type ActiveAgents, isAgentId } from './active-agents.js';

interface Deps {
  issuer: string;
  resources: Pick<Resources, 'find' | 'capabilities'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
}

export type Audiences = ReturnType<typeof createAudiences>;

export function createAudiences({ issuer, resources, activeAgents }: Deps) {
  const prefix = `${issuer}/agents/`;

  return { find, ofAgent, agentIn };

  /**
   * The API, or the agent as if it were one. Nobody gives anything to an agent that nobody answers
   * for.
   */
  async function find(identifier: string): Promise<Resource | undefined> {
    const id = agentIn(identifier);
    const agent = id && (await activeAgents.find(id));
    if (!agent) return resources.find(identifier);
    if (!agent.claimed) return undefined;
    const scopes = resources
      .capabilities()
      .filter((scope) => isForClients(scope) && agent.capabilities.includes(scope.name));
    return {
      id: agent.id,
      identifier: ofAgent(agent.id),
      name: `Agent ${agent.name}`,
      scopes,
      ...UNREGISTERED,
    };
  }

  function ofAgent(id: string): string {
    return prefix + id;
  }

  /** The id of the agent that an audience means. */
  function agentIn(identifier: string): string | undefined {
    const id = identifier.startsWith(prefix) ? identifier.slice(prefix.length) : '';
    return isAgentId(id) ? id : undefined;
  }
}
