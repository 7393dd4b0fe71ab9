/** Creates the services of this folder: authentication, limits, sign-in and session issuance. */
import type { Base } from '../../base/base.js';
import type { Accounts } from '../accounts/accounts.js';
import type { EmailVerification } from '../accounts/email-verification.js';
import type { Passwords } from '../accounts/passwords.js';
import type { Audit } from '../audit/audit.js';
import type { Identities } from '../identities/identities.js';
import type { Mfa } from '../mfa/mfa.js';
import type { KnownLocations } from '../sessions/known-locations.js';
import type { Sessions } from '../sessions/sessions.js';
import type { Tokens } from '../sessions/tokens.js';
import { createBruteForceProtection } from './brute-force-protection.js';
import { createAuthentication } from './complete-authentication.js';
import { createNewDevice } from './new-device-notification.js';
import { createSessionIssuer } from './session-issuance.js';
import { createSignIn } from './sign-in.js';

interface Deps {
  audit: Audit;
  accounts: Accounts;
  passwords: Passwords;
  emailVerification: EmailVerification;
  identities: Pick<Identities, 'isLinked'>;
  sessions: Sessions;
  tokens: Tokens;
  knownLocations: KnownLocations;
  mfa: Mfa;
}

export function createSignInModule(base: Base, deps: Deps) {
  const bruteForce = createBruteForceProtection({ ...base, ...deps });
  const authentication = createAuthentication({ ...base, ...deps, bruteForce });
  const signIn = createSignIn({ ...base, ...deps, authentication, bruteForce });
  const sessionIssuer = createSessionIssuer({ ...base, ...deps, newDevice: createNewDevice(base) });
  return { signIn, sessionIssuer, authentication, bruteForce };
}
