/**
 * The lengths of opaque tokens. Each kind has its own length, so that introspection knows from a
 * token in which store to look it up. All have more than 256 random bits.
 */
const LENGTHS: Record<string, number> = { AccessToken: 43, ClientCredentials: 44, RefreshToken: 45 };
const DEFAULT_LENGTH = 43;
const BITS_PER_CHARACTER = 6;

/** Returns the number of random bits of a token of this kind. */
export const tokenBits = (kind: string | undefined) => (LENGTHS[kind ?? ''] ?? DEFAULT_LENGTH) * BITS_PER_CHARACTER;

/** Reports whether a value can be a token of this kind. True for all kinds that are not listed. */
export const couldBeToken = (kind: string, value: string) =>
  LENGTHS[kind] === undefined || LENGTHS[kind] === value.length;
