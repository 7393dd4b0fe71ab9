/** The current time, injectable for tests. */

export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export const SECOND_MS = 1000;
export const MINUTE_SECONDS = 60;
export const HOUR_SECONDS = 60 * MINUTE_SECONDS;
export const DAY_SECONDS = 24 * HOUR_SECONDS;

/** Returns `date` plus a number of seconds. */
export const addSeconds = (date: Date, seconds: number) => new Date(date.getTime() + seconds * SECOND_MS);

/** Returns whole seconds since 1970, as in JWTs. */
export const epochSeconds = (date: Date) => Math.floor(date.getTime() / SECOND_MS);
