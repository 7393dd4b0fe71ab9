/** Bounds of a client's public keys, because a verification costs as much as the key makes it. */

const MAX_RSA_MODULUS_BITS = 8192;
/** 65537 is usual. The cost of a verification grows with the exponent. */
const MAX_RSA_EXPONENT_BITS = 32;

type Jwk = Record<string, unknown>;

/** Returns what is wrong with a client's `jwks` member; undefined if nothing is. */
export function keySetError(jwks: unknown, maxKeys: number): string | undefined {
  if (jwks === undefined) return undefined;
  const { keys } = (jwks ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) return 'jwks must be a JWK set';
  if (keys.length > maxKeys) return `jwks can have at most ${maxKeys} keys`;
  if (!keys.every(isBoundedKey)) {
    return `an RSA key in jwks can have at most ${MAX_RSA_MODULUS_BITS} bits, and an exponent of at most ${MAX_RSA_EXPONENT_BITS} bits`;
  }
  const kids = new Set(keys.map(({ kid }: Jwk) => kid).filter((kid) => typeof kid === 'string'));
  if (keys.length > 1 && kids.size < keys.length) return 'each key in jwks needs a kid of its own';
  return undefined;
}

/** Reports whether a signature can be verified with the key at a small cost. */
export function isBoundedKey(key: unknown): boolean {
  const { kty, n, e } = (key ?? {}) as Jwk;
  return kty !== 'RSA' || (bitsOf(n) <= MAX_RSA_MODULUS_BITS && bitsOf(e) <= MAX_RSA_EXPONENT_BITS);
}

/** Returns the length of a base64url number in bits, rounded up to whole bytes. */
function bitsOf(number: unknown): number {
  return typeof number === 'string' ? Math.floor((number.length * 6) / 8) * 8 : 0;
}
