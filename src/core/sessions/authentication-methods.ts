/** Authentication methods (`amr`, RFC 8176) and how long an authentication counts as recent. */
import { addSeconds, MINUTE_SECONDS } from '../../base/clock.js';
import type { Session } from '../../base/db/open.js';

const STEP_UP_SECONDS = 10 * MINUTE_SECONDS;

/**
 * Reports whether the user authenticated recently enough for actions that a stolen session must not
 * perform (step-up).
 */
export const isRecentlyAuthenticated = ({ authTime }: Session, now: Date) =>
  authTime > addSeconds(now, -STEP_UP_SECONDS);

/** Returns the union of both lists, with `mfa` if it contains a password and a code (RFC 8176). */
export function mergeAmr(before: string[], more: string[]): string[] {
  const all = new Set([...before, ...more]);
  if (all.has('pwd') && all.has('otp')) all.add('mfa');
  return [...all];
}
