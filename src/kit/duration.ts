/** Parses durations such as 30s, 15m, 8h, 7d and 2w. */

const DURATION = /^(\d{1,9})(s|m|h|d|w)$/;
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** Returns a duration in seconds, or undefined if the text is not a duration. */
export function durationSeconds(text: string): number | undefined {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  return amount ? Number(amount) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS] : undefined;
}

/** Returns a duration in seconds, or NaN if the text is not a duration, like `Number()`. */
export function parseDuration(text: string): number {
  return durationSeconds(text) ?? Number.NaN;
}

/**
 * Returns the duration of an option in seconds. Throws a TypeError with the name of the option if
 * the text is not a duration, or is zero and `zero` is false.
 */
export function parseDurationOrThrow(name: string, text: string, { zero = false } = {}): number {
  const seconds = parseDuration(text);
  if (!(zero ? seconds >= 0 : seconds > 0)) {
    throw new TypeError(`${name} is "${text}"; use a duration such as 30s, 15m, 8h or 7d`);
  }
  return seconds;
}
