/** Client secrets, of which only the hash is stored. */
import { constantTimeEqual, randomToken, sha256 } from '../../base/crypto.js';

/** Marks a stored hash, so that it is never accepted as the secret itself. */
const HASH_PREFIX = 'sha256:';

/** Returns a new client secret. */
export const makeSecret = (): string => randomToken();

/** Returns the form in which a secret is stored. */
export const hashSecret = (secret: string): string => HASH_PREFIX + sha256(secret);

/** Reports whether a text is the stored form of a secret. */
export const isSecretHash = (text: unknown): boolean => String(text).startsWith(HASH_PREFIX);

/** Reports in constant time whether `candidate` is the secret with this hash. */
export function isSecret(candidate: string, hash: string | null | undefined): boolean {
  return Boolean(hash) && constantTimeEqual(hashSecret(candidate), hash!);
}
