/** Sign-in errors. Every sign-in method and the proxy login use the same codes and messages. */
import { forbidden, unauthorized } from '../../base/app-error.js';

/** Returns the error for an unknown e-mail address or a wrong password. */
export const wrongCredentials = () =>
  unauthorized('invalid_credentials', 'The e-mail address or the password is incorrect.');
/** Returns the error for a suspended account. */
export const suspended = () => forbidden('account_suspended', 'This account is suspended.');
/** Returns the error for a missing second-factor code. */
export const secondFactorRequired = () =>
  unauthorized('mfa_required', 'This account uses two-factor authentication. Send the code as otp with the password.');
