/** Durations as people write them: 30s, 15m, 8h, 7d, 2w. */

const DURATION = /^(\d{1,9})(s|m|h|d|w)$/;
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** In seconds. As with `Number()`, what is no duration is NaN, and nothing is thrown. */
export function parseDuration(text: string): number {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  return amount ? Number(amount) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS] : Number.NaN;
}

/**
 * A duration that a programmer wrote: a wrong one stops the start, not a request. Zero only where
 * it makes sense.
 */
export function parseDurationOrThrow(name: string, text: string, { zero = false } = {}): number {
  const seconds = parseDuration(text);
  if (!(zero ? seconds >= 0 : seconds > 0)) throw new TypeError(`${name} is "${text}"; write it like 30s, 15m, 8h, 7d`);
  return seconds;
}
