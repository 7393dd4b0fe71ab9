/**
 * Proofs of a person: by what they are made (RFC 8176), and how long they count where a login alone
 * is not enough.
 */
import { addSeconds, MINUTE_SECONDS } from '../../base/clock.js';
import type { Session } from '../../base/db/open.js';

const STEP_UP_SECONDS = 10 * MINUTE_SECONDS;

/**
 * Whether the person proved lately enough who they are for what a stolen session must not do
 * (step-up).
 */
export const isRecentlyAuthenticated = ({ authTime }: Session, now: Date) =>
  authTime > addSeconds(now, -STEP_UP_SECONDS);

/** All that was proved, as RFC 8176 names it: a password and a code together are `mfa`. */
export function mergeAmr(before: string[], more: string[]): string[] {
  const all = new Set([...before, ...more]);
  if (all.has('pwd') && all.has('otp')) all.add('mfa');
  return [...all];
}
