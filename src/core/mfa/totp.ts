/**
 * TOTP codes (RFC 6238) with SHA-1, six digits and 30 seconds, which every authenticator app
 * supports.
 */
import { Secret, TOTP } from 'otpauth';

/** The 160 bits that RFC 4226, section 4, recommends. */
const SECRET_BYTES = 20;
const STEP_SECONDS = 30;
const DIGITS = 6;
/** Accepts one step before and one after, for clock skew and typing (RFC 6238, section 5.2). */
const SKEW_STEPS = 1;

/** Returns a new base32 secret. */
export const newTotpSecret = () => new Secret({ size: SECRET_BYTES }).base32;

/** Reports whether the text has the format of a TOTP code. */
export const isTotp = (otp: string) => /^\d{6}$/.test(otp);

/**
 * Returns the time step of a valid code, or undefined if the code is invalid at `now`. Compares in
 * constant time.
 */
export function stepOf(otp: string, secret: string, now: Date): number | undefined {
  const timestamp = now.getTime();
  const delta = totpOf(secret).validate({ token: otp, timestamp, window: SKEW_STEPS });
  return delta === null ? undefined : TOTP.counter({ period: STEP_SECONDS, timestamp }) + delta;
}

/** Returns the `otpauth:` URI of the QR code: the secret, and the name shown in the app. */
export const otpauthUri = (secret: string, issuer: string, label: string) => totpOf(secret, issuer, label).toString();

function totpOf(secret: string, issuer?: string, label?: string): TOTP {
  return new TOTP({ issuer, label, secret, algorithm: 'SHA1', digits: DIGITS, period: STEP_SECONDS });
}
