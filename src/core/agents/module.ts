/** Creates the services of this folder: agents, their audiences and ownership claims. */
import type { Base } from '../../base/base.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import type { Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import type { Jwts } from '../keys/jwts.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Organizations } from '../organizations/organizations.js';
import type { Resources } from '../resources/resources.js';
import { createActiveAgents } from './active-agents.js';
import { createAgents } from './agents.js';
import { createAudiences } from './audiences.js';
import { createOnboarding } from './onboarding.js';
import { createOwnershipClaims } from './ownership-claims.js';
import { createAgentTokens } from './tokens.js';

interface Deps {
  audit: Audit;
  accountLimits: AccountLimits;
  accounts: Pick<Accounts, 'lockActing'>;
  organizations: Organizations;
  resources: Pick<Resources, 'find' | 'capabilities'>;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  jwts: Jwts;
}

export function createAgentModule(base: Base, deps: Deps) {
  const { issuer } = base.config;
  const activeAgents = createActiveAgents(base);
  const audiences = createAudiences({ ...deps, issuer, activeAgents });
  const tokens = createAgentTokens({ ...base, ...deps, issuer });
  const onboarding = createOnboarding({ ...base, ...deps, tokens });
  const agents = createAgents({ ...base, ...deps, tokens, onboarding });
  const ownershipClaims = createOwnershipClaims({ ...base, ...deps });
  return { agents, activeAgents, audiences, ownershipClaims };
}
