/** Who is let in with what they sent; whoever has a second factor has to send that as well. */
import { unauthenticated } from '../../base/errors.js';
import type { Admission, Proven } from '../../core/sign-in/sign-in.js';

/** Refuses with `mfa_required`. */
export function admitted(admission: Admission): Proven {
  if (admission.kind === 'proven') return admission;
  throw unauthenticated('mfa_required', 'This account has a second factor: send its code as otp, with the password.');
}
