/**
 * The lengths of opaque tokens. They differ by kind, all above 256 random bits, so that a token of
 * unknown kind (at introspection) is looked up in one store only.
 */

const LENGTHS: Record<string, number> = { AccessToken: 43, ClientCredentials: 44, RefreshToken: 45 };
const DEFAULT_LENGTH = 43;
const BITS_PER_CHARACTER = 6;

/** Returns the number of random bits of a token of this kind. */
export const tokenBits = (kind: string | undefined) => (LENGTHS[kind ?? ''] ?? DEFAULT_LENGTH) * BITS_PER_CHARACTER;

/** Reports whether a value can be a token of this kind. Always true for kinds without a length. */
export const couldBeToken = (kind: string, value: string) =>
  LENGTHS[kind] === undefined || LENGTHS[kind] === value.length;
