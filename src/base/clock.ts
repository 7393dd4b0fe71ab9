/** The time, as something that can be handed in. */

export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export const SECOND_MS = 1000;
export const MINUTE_SECONDS = 60;
export const HOUR_SECONDS = 60 * MINUTE_SECONDS;
export const DAY_SECONDS = 24 * HOUR_SECONDS;

/** `date` moved by a number of seconds. */
export const addSeconds = (date: Date, seconds: number) => new Date(date.getTime() + seconds * SECOND_MS);

/** Whole seconds since 1970, as JWTs count them. */
export const epochSeconds = (date: Date) => Math.floor(date.getTime() / SECOND_MS);
