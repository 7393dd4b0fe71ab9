/**
 * Codes of an authenticator app (RFC 6238): SHA-1, six digits, half a minute, which is what every
 * app can do.
 */
import { Secret, TOTP } from 'otpauth';

/** What RFC 4226, section 4, recommends: 160 bits. */
const SECRET_BYTES = 20;
const STEP_SECONDS = 30;
const DIGITS = 6;
/**
 * Clocks differ, and typing takes time: one step before and one after count as well (RFC 6238,
 * 5.2).
 */
const SKEW_STEPS = 1;

/** A secret for an app to share with us, base32. */
export const newTotpSecret = () => new Secret({ size: SECRET_BYTES }).base32;

/** Whether it looks like a code of an app at all. */
export const isTotp = (otp: string) => /^\d{6}$/.test(otp);

/**
 * The time step whose code this is, if it is the code of a step about now. Compares in constant
 * time.
 */
export function stepOf(otp: string, secret: string, now: Date): number | undefined {
  const timestamp = now.getTime();
  const delta = totpOf(secret).validate({ token: otp, timestamp, window: SKEW_STEPS });
  return delta === null ? undefined : TOTP.counter({ period: STEP_SECONDS, timestamp }) + delta;
}

/** What an app reads from the QR code: the secret, and by which name to list it. */
export const otpauthUri = (secret: string, issuer: string, label: string) => totpOf(secret, issuer, label).toString();

function totpOf(secret: string, issuer?: string, label?: string): TOTP {
  return new TOTP({ issuer, label, secret, algorithm: 'SHA1', digits: DIGITS, period: STEP_SECONDS });
}
