/** Who is let in with what they sent; whoever has a second factor has to send that as well. */

import { factorMissing } from '../../core/sign-in/errors.js';
import type { Authenticated } from '../../core/sign-in/session-issuance.js';
import type { AuthResult } from '../../core/sign-in/sign-in.js';

/** Refuses with `mfa_required`. */
export function requireComplete(authResult: AuthResult): Authenticated {
  if (authResult.kind === 'proven') return authResult;
  throw factorMissing();
}
