/**
 * Audiences of tokens: a registered API, or an agent. An app that wants an agent to act for a user
 * requests a token with that agent as its audience (`<ISSUER>/agents/agt_…`, as `resource`). The
 * consent page then shows the agent's name and its scopes. The agent exchanges that token: see
 * core/agent-authorization/delegations.
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
   * Returns the API with this identifier, or an agent in the form of an API. Returns undefined for
   * an unclaimed agent.
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

  /** Returns the audience that identifies an agent. */
  function ofAgent(id: string): string {
    return prefix + id;
  }

  /** Returns the client id of the agent that an audience identifies, if any. */
  function agentIn(identifier: string): string | undefined {
    const id = identifier.startsWith(prefix) ? identifier.slice(prefix.length) : '';
    return isAgentId(id) ? id : undefined;
  }
}
