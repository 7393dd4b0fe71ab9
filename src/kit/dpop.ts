/**
 * Proof of possession (RFC 9449): whether a DPoP proof was made for this very request, with which
 * key, and when. Pure: whether its id was seen before is for whoever has a memory.
 */
import { base64url, EmbeddedJWK, type JWK, type JWTPayload, jwtVerify } from 'jose';
import { sha256Base64url } from './bytes.js';

/** Asymmetric, all of them: whoever could check a symmetric proof could make one. */
export const DPOP_ALGORITHMS = ['ES256', 'RS256', 'PS256', 'Ed25519', 'EdDSA'] as const;

export interface DpopRequest {
  /** As it stands in the request line. */
  method: string;
  /** The address that was asked, as its callers know it. Query and fragment do not count. */
  url: string;
  /** The access token that came along. */
  accessToken?: string;
  /** Where it is given, a proof needs a nonce of ours: says whether one is, and is fresh. */
  isNonce?: (nonce: string) => boolean;
  algorithms?: readonly string[];
  now?: Date;
  /** How far its time may be from ours, in either direction. */
  maxAgeSeconds?: number;
}

export interface DpopProof {
  kind: 'valid';
  /** Of the key (RFC 7638): what `cnf.jkt` of the token must be. */
  thumbprint: string;
  jti: string;
  issuedAt: Date;
}

/** `nonce`: right but for the nonce, so that it can be made anew with one of ours. */
export type DpopVerdict = DpopProof | { kind: 'nonce'; reason: string } | { kind: 'invalid'; reason: string };

const MAX_AGE_SECONDS = 300;
const MAX_PROOF_LENGTH = 4096;
const MAX_JTI_LENGTH = 256;
/**
 * Not every runtime compares the curve that a key names with the one that it is read for; another
 * name would be another thumbprint.
 */
const CURVES: Record<string, string> = { ES256: 'P-256', Ed25519: 'Ed25519', EdDSA: 'Ed25519' };
/** What only the owner of a key may know (RFC 7518, 6; RFC 8037, 2). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'];

/**
 * Never throws: whatever is no proof for this request is told with a reason that holds nothing of
 * it.
 */
export async function verifyDpopProof(proof: string, request: DpopRequest): Promise<DpopVerdict> {
  if (proof.length > MAX_PROOF_LENGTH) return invalid('the proof is too long');
  // Of several ways to write one signature only one is taken, so that a proof cannot be made to
  // look like another.
  const signature = proof.split('.')[2];
  if (!signature || !isCanonical(signature)) return invalid('the proof is no signed JWT');
  try {
    const { algorithms = DPOP_ALGORITHMS, now = new Date() } = request;
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...algorithms],
      currentDate: now,
    });
    const jwk = protectedHeader.jwk!;
    const curve = CURVES[protectedHeader.alg];
    if (curve && jwk.crv !== curve) return invalid('its key is on another curve than its algorithm');
    if (PRIVATE_MEMBERS.some((member) => member in jwk)) return invalid('the proof holds a private key');
    const error = errorOf(payload, request) ?? timeFault(payload, request);
    if (error) return invalid(error);
    const nonceFault = request.isNonce && faultOfNonce(payload.nonce, request.isNonce);
    if (nonceFault) return { kind: 'nonce', reason: nonceFault };
    const { jti, iat } = payload as { jti: string; iat: number };
    return { kind: 'valid', thumbprint: thumbprintOf(jwk), jti, issuedAt: new Date(iat * 1000) };
  } catch {
    return invalid('the proof is no JWT that its own key signed');
  }
}

/** Whether it was made for something else. */
function errorOf(payload: JWTPayload, { method, url, accessToken }: DpopRequest): string | undefined {
  const { jti, htm, htu, ath } = payload;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return 'the proof has no id (jti)';
  if (htm !== method) return 'the proof is for another method (htm)';
  const asked = withoutQuery(url);
  if (!asked || withoutQuery(htu) !== asked) return 'the proof is for another address (htu)';
  if (accessToken !== undefined && ath !== sha256Base64url(accessToken)) return 'the proof is for another token (ath)';
  return undefined;
}

function timeFault({ iat }: JWTPayload, { now = new Date(), maxAgeSeconds = MAX_AGE_SECONDS }: DpopRequest) {
  const age = typeof iat === 'number' ? Math.abs(now.getTime() / 1000 - iat) : Number.POSITIVE_INFINITY;
  return age > maxAgeSeconds ? 'the proof is not of now (iat)' : undefined;
}

function faultOfNonce(nonce: unknown, isNonce: (nonce: string) => boolean): string | undefined {
  if (nonce === undefined) return 'the proof needs a nonce of this server';
  return typeof nonce === 'string' && isNonce(nonce) ? undefined : 'the nonce of the proof is too old, or none of ours';
}

/**
 * RFC 7638: of what makes the key, by the order of its names. Hashed here, for Web Crypto would go
 * through a thread for it.
 */
function thumbprintOf({ crv, e, kty, n, x, y }: JWK): string {
  return sha256Base64url(JSON.stringify(kty === 'RSA' ? { e, kty, n } : { crv, kty, x, ...(kty === 'EC' && { y }) }));
}

/** The address in its usual form (RFC 3986, 6.2), without query and fragment. */
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
