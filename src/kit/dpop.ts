/**
 * Verifies DPoP proofs (RFC 9449): whether a proof was signed for this request, by which key, and
 * when. Has no state: the caller must reject proofs that were used before.
 */
import { base64url, EmbeddedJWK, type JWK, type JWTPayload, jwtVerify } from 'jose';
import { sha256Base64url } from './bytes.js';
import { proofBoundsError } from './verification-cost.js';

/** Asymmetric algorithms only: a verifier of symmetric signatures could forge them. */
export const DPOP_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'Ed25519', 'EdDSA'] as const;

export interface DpopRequest {
  /** The method in the request line. */
  method: string;
  /** The public URL of the request. Query and fragment are ignored. */
  url: string;
  /** The access token that was sent with the proof. */
  accessToken?: string;
  /** Reports whether a nonce is ours and fresh. If set, a proof must contain a nonce. */
  isNonce?: (nonce: string) => boolean;
  algorithms?: readonly string[];
  now?: Date;
  /** The maximum difference between `iat` and now, in both directions. */
  maxAgeSeconds?: number;
}

export interface DpopProof {
  kind: 'valid';
  /** The thumbprint of the key (RFC 7638), which must equal `cnf.jkt` of the token. */
  thumbprint: string;
  jti: string;
  issuedAt: Date;
}

/** `nonce`: valid except for the nonce, so the client can retry with a nonce of this server. */
export type DpopVerdict = DpopProof | { kind: 'nonce'; reason: string } | { kind: 'invalid'; reason: string };

const MAX_AGE_SECONDS = 300;
const MAX_JTI_LENGTH = 256;
/**
 * The curve of each algorithm. Not every runtime compares it with the `crv` of the key, and another
 * `crv` would give the same key another thumbprint.
 */
const CURVES: Record<string, string> = { ES256: 'P-256', Ed25519: 'Ed25519', EdDSA: 'Ed25519' };
/** JWK members that only the owner of a key knows (RFC 7518, 6; RFC 8037, 2). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/** Verifies a proof. Never throws; the reason for a rejection contains nothing from the proof. */
export async function verifyDpopProof(proof: string, request: DpopRequest): Promise<DpopVerdict> {
  const boundsError = proofBoundsError(proof);
  if (boundsError) return invalid(boundsError);
  // A signature has several encodings. Only the canonical one is accepted, so that a used proof
  // cannot be encoded again to look new.
  const signature = proof.split('.')[2];
  if (!signature || !isCanonical(signature)) return invalid('the proof is not a signed JWT');
  try {
    const { algorithms = DPOP_ALGORITHMS, now = new Date() } = request;
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...algorithms],
      currentDate: now,
    });
    const jwk = protectedHeader.jwk!;
    const curve = CURVES[protectedHeader.alg];
    if (curve && jwk.crv !== curve) return invalid('the curve of the key does not match the algorithm');
    if (PRIVATE_MEMBERS.some((member) => member in jwk)) return invalid('the proof contains a private key');
    const error = bindingError(payload, request) ?? timeError(payload, request);
    if (error) return invalid(error);
    const nonceReason = request.isNonce && nonceError(payload.nonce, request.isNonce);
    if (nonceReason) return { kind: 'nonce', reason: nonceReason };
    const { jti, iat } = payload as { jti: string; iat: number };
    return { kind: 'valid', thumbprint: thumbprintOf(jwk), jti, issuedAt: new Date(iat * 1000) };
  } catch {
    return invalid('the proof is not a JWT signed with its own key');
  }
}

/** Returns an error if the proof was signed for another request or token. */
function bindingError(payload: JWTPayload, { method, url, accessToken }: DpopRequest): string | undefined {
  const { jti, htm, htu, ath } = payload;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return 'the proof has no id (jti)';
  if (htm !== method) return 'the proof is for another method (htm)';
  const expected = withoutQuery(url);
  if (!expected || withoutQuery(htu) !== expected) return 'the proof is for another URL (htu)';
  if (accessToken !== undefined && ath !== sha256Base64url(accessToken)) return 'the proof is for another token (ath)';
  return undefined;
}

function timeError({ iat }: JWTPayload, { now = new Date(), maxAgeSeconds = MAX_AGE_SECONDS }: DpopRequest) {
  const age = typeof iat === 'number' ? Math.abs(now.getTime() / 1000 - iat) : Number.POSITIVE_INFINITY;
  return age > maxAgeSeconds ? 'the proof is too old or from the future (iat)' : undefined;
}

function nonceError(nonce: unknown, isNonce: (nonce: string) => boolean): string | undefined {
  if (nonce === undefined) return 'the proof needs a nonce of this server';
  return typeof nonce === 'string' && isNonce(nonce) ? undefined : 'the nonce of the proof is unknown or has expired';
}

/**
 * Returns the thumbprint of a key (RFC 7638): the hash of its required members in alphabetical
 * order. Does not use Web Crypto, which hashes in a thread pool.
 */
function thumbprintOf({ crv, e, kty, n, x, y }: JWK): string {
  return sha256Base64url(JSON.stringify(kty === 'RSA' ? { e, kty, n } : { crv, kty, x, ...(kty === 'EC' && { y }) }));
}

/** Returns the normalized URL (RFC 3986, 6.2) without query and fragment; undefined if invalid. */
export function withoutQuery(text: unknown): string | undefined {
  if (typeof text !== 'string' || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  url.search = '';
  url.hash = '';
  return url.href;
}

function isCanonical(text: string): boolean {
  try {
    return base64url.encode(base64url.decode(text)) === text;
  } catch {
    return false;
  }
}

const invalid = (reason: string): DpopVerdict => ({ kind: 'invalid', reason });
