/**
 * The words in which somebody is not let in. They are the same whatever the door, and whoever
 * looked at the password.
 */
import { forbidden, unauthorized } from '../../base/app-error.js';

export const wrongCredentials = () =>
  unauthorized('invalid_credentials', 'The e-mail address or the password is not right.');
export const suspended = () => forbidden('account_suspended', 'This account is suspended.');
export const factorMissing = () =>
  unauthorized('mfa_required', 'This account has a second factor: send its code as otp, with the password.');
