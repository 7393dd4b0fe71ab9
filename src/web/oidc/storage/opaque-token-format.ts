/**
 * The three kinds of opaque tokens differ in length, all above 256 random bits. So a token that
 * somebody presents, at introspection for one, is looked up where it can be and nowhere else.
 */

const LENGTHS: Record<string, number> = { AccessToken: 43, ClientCredentials: 44, RefreshToken: 45 };
const DEFAULT_LENGTH = 43;
const BITS_A_CHARACTER = 6;

export const tokenBits = (kind: string | undefined) => (LENGTHS[kind ?? ''] ?? DEFAULT_LENGTH) * BITS_A_CHARACTER;

/**
 * Whether a value can be a token of this kind. Always true for kinds that are told apart by where
 * they are sent.
 */
export const couldBeToken = (kind: string, value: string) =>
  LENGTHS[kind] === undefined || LENGTHS[kind] === value.length;
