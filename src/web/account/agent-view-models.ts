/** Pages on which a user claims, lists and deletes agents, and the values that each prints. */

export interface AgentPages {
  'account/claim-agent': ClaimAgentPage;
  'account/agent-claimed': AgentClaimedPage;
  'account/agents': AgentsPage;
  'account/agent-key': AgentKeyPage;
  'account/replace-agent-key': AskedAgentPage;
  'account/end-agent': AskedAgentPage;
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
  made: string;
  ends: string;
  /** A description of each capability. */
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
  agents: AgentRow[];
}

export interface AgentRow {
  /** The client id. */
  id: string;
  /** The name that the agent registered with. */
  agentId: string;
  name: string;
  organization: string;
  /** Names of scopes. */
  capabilities: string[];
  /** True if the signed-in user has claimed the agent. */
  yours: boolean;
  /** True if any user has claimed the agent. */
  answeredFor: boolean;
  /** True if the signed-in user can replace its key and delete it. */
  managed: boolean;
  /** "5 minutes ago" */
  made: string;
}

/** Shown once. */
interface AgentKeyPage {
  csrfToken: string;
  name: string;
  key: string;
}

/** Posts `csrf` to `/account/agents/:id/replace-key`, or to `/account/agents/:id/end`. */
interface AskedAgentPage {
  csrfToken: string;
  agent: AgentRow;
}
