/** Creates the services of this folder: approvals and delegations. */
import type { Base } from '../../base/base.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActiveAgents } from '../agents/active-agents.js';
import type { Audiences } from '../agents/audiences.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthTokens } from '../credentials/oauth-tokens.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import { createApprovals } from './approvals.js';
import { createDelegations } from './delegations.js';

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lockActing'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
  audiences: Pick<Audiences, 'ofAgent' | 'agentIn'>;
  oauthTokens: Pick<OAuthTokens, 'read'>;
}

export function createAgentAuthorization(base: Base, deps: Deps) {
  return { approvals: createApprovals(base, deps), delegations: createDelegations(deps) };
}
