/** Requires complete authentications, where a request cannot continue with a second one. */

import type { AuthResult } from '../../core/sign-in/complete-authentication.js';
import { secondFactorRequired } from '../../core/sign-in/errors.js';
import type { Authenticated } from '../../core/sign-in/session-issuance.js';

/** Returns a complete authentication. Throws `AppError` `mfa_required` otherwise. */
export function requireComplete(authResult: AuthResult): Authenticated {
  if (authResult.kind === 'complete') return authResult;
  throw secondFactorRequired();
}
