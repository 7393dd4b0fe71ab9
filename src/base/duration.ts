/** Durations as people write them: 30s, 15m, 8h, 7d, 2w. */

const DURATION = /^(\d{1,9})(s|m|h|d|w)$/;
const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** In seconds; undefined for what is no duration. */
export function durationSeconds(text: string): number | undefined {
  const [, amount, unit] = DURATION.exec(text) ?? [];
  return amount ? Number(amount) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS] : undefined;
}
