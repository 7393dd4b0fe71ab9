/** Creates the services of this folder: accounts, passwords, profiles and e-mail verification. */
import type { Base } from '../../base/base.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import { createAccounts } from './accounts.js';
import { createEmailVerification } from './email-verification.js';
import { createOneTimeTokens } from './one-time-tokens.js';
import { createPasswords } from './passwords.js';
import { createProfiles } from './profile.js';
import { createPwnedPasswords } from './pwned-passwords.js';

export function createAccountModule(base: Base, deps: { audit: Audit; organizations: Organizations }) {
  const { passwordHashCost: cost, passwordPolicy: policy, pwnedPasswordsUrl: url, processes } = base.config;
  const passwords = createPasswords({
    ...{ cost, policy, processes, queueLimits: base.config.passwordQueue },
    pwned: createPwnedPasswords({ ...base, url }),
  });
  const accounts = createAccounts({ ...base, ...deps, passwords });
  const profiles = createProfiles({ ...base, ...deps });
  const oneTimeTokens = createOneTimeTokens(base);
  const emailVerification = createEmailVerification({ ...base, ...deps, accounts, oneTimeTokens });
  return { accounts, passwords, profiles, oneTimeTokens, emailVerification };
}
