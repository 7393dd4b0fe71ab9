/** Rejects a sign-in that still lacks the second factor. */
import type { AuthResult } from '../../core/sign-in/complete-authentication.js';
import { secondFactorRequired } from '../../core/sign-in/errors.js';
import type { Authenticated } from '../../core/sign-in/session-issuance.js';

/** Returns the authenticated user. Throws `mfa_required` if the second factor is missing. */
export function requireCompleteAuthentication(authResult: AuthResult): Authenticated {
  if (authResult.kind === 'complete') return authResult;
  throw secondFactorRequired();
}
