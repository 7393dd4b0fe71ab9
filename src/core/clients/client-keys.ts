/** Bounds of a client's public keys, because a verification costs as much as the key makes it. */
import { isBoundedKey, KEY_BOUNDS } from '../../kit/verification-cost.js';

/** Returns what is wrong with a client's `jwks` member; undefined if nothing is. */
export function keySetError(jwks: unknown, maxKeys: number): string | undefined {
  if (jwks === undefined) return undefined;
  const { keys } = (jwks ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) return 'jwks must be a JWK set';
  if (keys.length > maxKeys) return `jwks can have at most ${maxKeys} keys`;
  if (!keys.every(isBoundedKey)) return `an RSA key in jwks can have ${KEY_BOUNDS}`;
  const kids = new Set(keys.map(({ kid }: Record<string, unknown>) => kid).filter((kid) => typeof kid === 'string'));
  if (keys.length > 1 && kids.size < keys.length) return 'each key in jwks needs a kid of its own';
  return undefined;
}
