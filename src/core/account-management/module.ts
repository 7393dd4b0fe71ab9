/**
 * Creates the services of this folder: password reset, user administration, expiry of unverified
 * accounts, and bootstrap.
 */
import type { Base } from '../../base/base.js';
import type { Accounts } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { OneTimeTokens } from '../accounts/one-time-tokens.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Agents } from '../agents/agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import type { Audit } from '../audit/audit.js';
import type { TokenRevocation } from '../federation/token-revocation.js';
import type { Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { MemberRemoval } from '../organizations/member-removal.js';
import type { Sessions } from '../sessions/sessions.js';
import type { SignIn } from '../sign-in/sign-in.js';
import { createAccountRemoval } from './account-removal.js';
import { createBootstrap } from './bootstrap.js';
import { createPasswordReset } from './password-reset.js';
import { createUnverifiedAccess } from './unverified-access.js';
import { createUnverifiedAccounts } from './unverified-accounts.js';
import { createUserAdministration } from './user-administration.js';

interface Deps {
  audit: Audit;
  accounts: Accounts;
  passwords: Passwords;
  oneTimeTokens: OneTimeTokens;
  emailVerification: Pick<EmailVerification, 'begin'>;
  memberRemoval: MemberRemoval;
  identities: Identities;
  tokenRevocation: Pick<TokenRevocation, 'revokeAllFor'>;
  apiKeys: Pick<ApiKeys, 'removeAllFor'>;
  agents: Pick<Agents, 'removeAllFor'>;
  sessions: Sessions;
  mfa: Pick<Mfa, 'removeAllFor'>;
  signIn: SignIn;
}

export function createAccountManagement(base: Base, deps: Deps) {
  const unverifiedAccess = createUnverifiedAccess(deps);
  const passwordReset = createPasswordReset({ ...base, ...deps, unverifiedAccess });
  const accountRemoval = createAccountRemoval({ ...base, ...deps });
  const userAdministration = createUserAdministration({ ...base, ...deps, accountRemoval });
  const unverifiedAccounts = createUnverifiedAccounts({
    ...base,
    ...deps,
    accountRemoval,
    ttlSeconds: base.config.unverifiedAccountSeconds,
  });
  const bootstrap = createBootstrap({ ...base, ...deps });
  return { passwordReset, userAdministration, unverifiedAccounts, bootstrap };
}
