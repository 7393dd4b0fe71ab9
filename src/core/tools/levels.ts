/** Access levels in a tool, lowest first. The tool decides what each level allows. */
import type { KeyRole } from '../api-keys/api-keys.js';

export const LEVELS = ['read', 'write', 'admin'] as const;
export type Level = (typeof LEVELS)[number];

/** The highest level of an API key by its role, even if its owner has a higher one. */
export const LEVEL_OF_ROLE = { viewer: 'read', operator: 'write', admin: 'admin' } as const satisfies Record<
  KeyRole,
  Level
>;

/** Returns the lower of two levels. */
export const minLevel = (one: Level, other: Level) => (LEVELS.indexOf(one) <= LEVELS.indexOf(other) ? one : other);
