/** Formats times for pages. */
import { DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND_MS } from '../../base/clock.js';

const DAY_FORMAT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeZone: 'UTC' });

/** "22 November 2026" */
export const describeDay = (date: Date) => DAY_FORMAT.format(date);

/**
 * "5 minutes ago", "3 hours ago". Returns only the day after 24 hours, because the user's time zone
 * is unknown.
 */
export function describeAge(date: Date, now: Date): string {
  const minutes = Math.floor((now.getTime() - date.getTime()) / (MINUTE_SECONDS * SECOND_MS));
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${count(minutes, 'minute')} ago`;
  if (minutes < 24 * 60) return `${count(Math.floor(minutes / 60), 'hour')} ago`;
  return describeDay(date);
}

/** Formats the last use of a session, which is recorded at most once an hour. */
export function describeLastUse(date: Date, now: Date): string {
  return now.getTime() - date.getTime() < HOUR_SECONDS * SECOND_MS ? 'within the last hour' : describeAge(date, now);
}

/** "for 9 more minutes" */
export function describeTimeLeft(until: Date, now: Date): string {
  const minutes = Math.ceil((until.getTime() - now.getTime()) / (MINUTE_SECONDS * SECOND_MS));
  return minutes <= 1 ? 'for at most a minute' : `for ${minutes} more minutes`;
}

/** "in 9 minutes", "in 5 hours"; after 24 hours "on 22 November 2026". */
export function describeExpiry(date: Date, now: Date): string {
  const minutes = Math.max(1, Math.ceil((date.getTime() - now.getTime()) / (MINUTE_SECONDS * SECOND_MS)));
  if (minutes < 60) return `in ${count(minutes, 'minute')}`;
  if (minutes < 24 * 60) return `in ${count(Math.floor(minutes / 60), 'hour')}`;
  return `on ${describeDay(date)}`;
}

/** "90 days", "36 hours", "10 minutes" */
export function describeDuration(seconds: number): string {
  if (seconds % DAY_SECONDS === 0) return count(seconds / DAY_SECONDS, 'day');
  if (seconds % HOUR_SECONDS === 0) return count(seconds / HOUR_SECONDS, 'hour');
  return count(Math.ceil(seconds / MINUTE_SECONDS), 'minute');
}

const count = (amount: number, unit: string) => `${amount} ${unit}${amount === 1 ? '' : 's'}`;
