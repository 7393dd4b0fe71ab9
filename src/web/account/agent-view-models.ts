/**
 * The pages on which a person takes on agents, sees and ends them, and the values that each prints,
 * ready to print.
 */

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
  /** Of the link. */
  token: string;
  name: string;
  /** As whoever made it calls it. */
  agentId: string;
  /** "22 November 2026" */
  made: string;
  ends: string;
  /** A sentence each. */
  capabilities: string[];
  /** Of the person who is signed in. */
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
  /** Its client id. */
  id: string;
  /** As whoever made it calls it. */
  agentId: string;
  name: string;
  organization: string;
  /** Names of scopes. */
  capabilities: string[];
  /** Whether the person who is signed in answers for it. */
  yours: boolean;
  /** Whether anybody does. */
  answeredFor: boolean;
  /** Whether that person may replace its key and end it. */
  managed: boolean;
  /** "5 minutes ago" */
  made: string;
}

/** Shown this once. */
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
