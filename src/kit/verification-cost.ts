/**
 * Bounds the keys and proofs that a caller chooses. The caller decides with its key how much CPU
 * time a verification costs: an RSA exponent as long as the modulus costs a hundred times more.
 */
import { decodeProtectedHeader } from 'jose';

const MAX_RSA_MODULUS_BITS = 8192;
/** 65537 is usual. */
const MAX_RSA_EXPONENT_BITS = 32;
const MAX_PROOF_LENGTH = 4096;

/** The bounds of a key, for messages. */
export const KEY_BOUNDS = `at most ${MAX_RSA_MODULUS_BITS} bits, and an exponent of at most ${MAX_RSA_EXPONENT_BITS} bits`;

/** Reports whether a signature can be verified with a JWK at a small cost. */
export function isBoundedKey(jwk: unknown): boolean {
  const { kty, n, e } = (jwk ?? {}) as Record<string, unknown>;
  return kty !== 'RSA' || (bitsOf(n) <= MAX_RSA_MODULUS_BITS && bitsOf(e) <= MAX_RSA_EXPONENT_BITS);
}

/** Reports the same for the `asymmetricKeyDetails` of the key of a certificate. */
export function isBoundedPublicKey(details: { modulusLength?: number; publicExponent?: bigint } = {}): boolean {
  const { modulusLength = 0, publicExponent = 0n } = details;
  return modulusLength <= MAX_RSA_MODULUS_BITS && publicExponent < 1n << BigInt(MAX_RSA_EXPONENT_BITS);
}

/** Returns the bound that a DPoP proof exceeds, as a reason to reject it; undefined if none. */
export function proofBoundsError(proof: string): string | undefined {
  if (proof.length > MAX_PROOF_LENGTH) return `the proof is longer than ${MAX_PROOF_LENGTH} characters`;
  try {
    if (isBoundedKey(decodeProtectedHeader(proof).jwk)) return undefined;
    return `the RSA key of the proof can have ${KEY_BOUNDS}`;
  } catch {
    return undefined; // the proof is malformed, which its verification reports
  }
}

/** Returns the length of a base64url number in bits, rounded down to whole bytes. */
function bitsOf(number: unknown): number {
  return typeof number === 'string' ? Math.floor((number.length * 6) / 8) * 8 : 0;
}
