/**
 * Levels: what somebody may in a tool, from the least to the most. What each means there is the
 * tool's affair.
 */
import type { KeyRole } from '../api-keys/api-keys.js';

export const LEVELS = ['read', 'write', 'admin'] as const;
export type Level = (typeof LEVELS)[number];

/** How far a key reaches in a tool, however far its owner does. */
export const LEVEL_OF_ROLE = { viewer: 'read', operator: 'write', admin: 'admin' } as const satisfies Record<
  KeyRole,
  Level
>;

export const lesserLevel = (one: Level, other: Level) => (LEVELS.indexOf(one) <= LEVELS.indexOf(other) ? one : other);
