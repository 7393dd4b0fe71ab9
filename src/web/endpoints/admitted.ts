/** Who is let in with what they sent; whoever has a second factor has to send that as well. */

import { factorMissing } from '../../core/sign-in/errors.js';
import type { Proven } from '../../core/sign-in/session-issuance.js';
import type { Admission } from '../../core/sign-in/sign-in.js';

/** Refuses with `mfa_required`. */
export function admitted(admission: Admission): Proven {
  if (admission.kind === 'proven') return admission;
  throw factorMissing();
}
