/** View models of the pages on which a user claims, lists and deletes agents. */

export interface AgentPages {
  'account/claim-agent': ClaimAgentPage;
  'account/agent-claimed': AgentClaimedPage;
  'account/agents': AgentsPage;
  'account/agent-key': AgentKeyPage;
  'account/replace-agent-key': ConfirmAgentPage;
  'account/delete-agent': ConfirmAgentPage;
}

/** Posts `csrf` and `token` to `/account/agents/claim`. */
interface ClaimAgentPage {
  csrfToken: string;
  /** The token of the claim link. */
  token: string;
  name: string;
  /** The name that the agent registered with. */
  agentId: string;
  /** "22 November 2026" */
  created: string;
  /** The day on which the agent expires, if no user claims it. */
  expires: string;
  /** Descriptions of the agent's capabilities. */
  capabilities: string[];
  /** The e-mail address of the signed-in user. */
  email: string;
}

interface AgentClaimedPage {
  name: string;
}

interface AgentsPage {
  csrfToken: string;
  notice?: string;
  agents: AgentView[];
  /** The URL of the next part of the list. */
  more?: string | undefined;
}

export interface AgentView {
  /** The client id. */
  id: string;
  /** The name that the agent registered with. */
  agentId: string;
  name: string;
  organization: string;
  /** Names of scopes. */
  capabilities: string[];
  /** True if the signed-in user has claimed the agent. */
  isOwner: boolean;
  /** False after its owner was suspended or removed from the organization. */
  hasOwner: boolean;
  /** True if the signed-in user can replace its key and delete it. */
  canManage: boolean;
  /** "5 minutes ago" */
  created: string;
}

/** The new key of an agent. It cannot be shown again. */
interface AgentKeyPage {
  csrfToken: string;
  name: string;
  key: string;
}

/** Posts `csrf` to `/account/agents/:id/replace-key`, or to `/account/agents/:id/end`. */
interface ConfirmAgentPage {
  csrfToken: string;
  agent: AgentView;
}
