/** Who is let in with what they sent; whoever has a second factor has to send that as well. */
import type { Proven } from '../../core/sign-in/letting-in.js';
import { factorMissing } from '../../core/sign-in/refusals.js';
import type { Admission } from '../../core/sign-in/sign-in.js';

/** Refuses with `mfa_required`. */
export function admitted(admission: Admission): Proven {
  if (admission.kind === 'proven') return admission;
  throw factorMissing();
}
