/**
 * Verifies proof of possession for a service (RFC 9449). A DPoP proof must be for this request, be
 * signed with the right key, and be used once. If nonces are required, it must contain a fresh one.
 */
import { type AuthError, authError } from './auth-error.js';
import { sha256Base64url } from './bytes.js';
import { DPOP_ALGORITHMS, verifyDpopProof } from './dpop.js';
import type { DpopNonces } from './dpop-nonces.js';
import type { ReplayStore } from './replay-store.js';

/** The request that the proof must be for. */
export interface BoundRequest {
  method: string;
  /**
   * The URL that the client requested: behind a proxy, the public URL. Query and fragment are
   * ignored.
   */
  url: string;
  /** The credential that was sent with the proof. If set, the proof must contain its hash. */
  accessToken?: string;
  /** The thumbprint of the key that the credential is bound to (`cnf.jkt`). */
  boundTo?: string;
}

export interface DpopOptions {
  replays: ReplayStore;
  /** If set, proofs must contain a nonce of this server. */
  nonces?: DpopNonces;
  /** The maximum difference between the time of a proof and now. Default: 60. */
  maxAgeSeconds?: number;
  now?: () => number;
}

export type DpopResult =
  | { ok: true; jkt: string }
  | { ok: false; error: 'invalid_dpop_proof' | 'use_dpop_nonce'; description: string };

const MAX_AGE_SECONDS = 60;

/**
 * Verifies a proof (RFC 9449, 4.3): the proof itself, then that the token is bound to its key, and
 * last that the proof was not used before. Rejects only if the replay store rejects.
 */
export async function verifyDpop(
  proof: string,
  { boundTo, ...request }: BoundRequest,
  { replays, nonces, maxAgeSeconds = MAX_AGE_SECONDS, now = Date.now }: DpopOptions,
): Promise<DpopResult> {
  if (typeof proof !== 'string' || proof === '') return nonces ? NONCE_REQUIRED : invalidProof('the proof is missing');
  const verdict = await verifyDpopProof(proof, {
    ...request,
    isNonce: nonces?.accepts,
    now: new Date(now()),
    maxAgeSeconds,
  });
  if (verdict.kind === 'nonce') return NONCE_REQUIRED;
  if (verdict.kind === 'invalid') return invalidProof(verdict.reason);
  const { thumbprint: jkt, jti, issuedAt } = verdict;
  if (boundTo !== undefined && boundTo !== jkt) return invalidProof('the token is bound to another key');
  // Stores the proof last, so that invalid proofs cannot fill the store.
  const until = new Date(issuedAt.getTime() + maxAgeSeconds * 1000);
  const isFirst = await replays.firstUse(sha256Base64url(`${jkt} ${jti}`), until);
  return isFirst ? { ok: true, jkt } : invalidProof('the proof was used before');
}

/** Returns a 401 for a rejected proof, with the nonce for the next one. */
export function dpopRequired(
  { error, description }: Extract<DpopResult, { ok: false }>,
  nonces?: DpopNonces,
): AuthError {
  const nonce = nonces && { 'DPoP-Nonce': nonces.current() };
  return authError(401, error, description, {
    'WWW-Authenticate': `DPoP error="${error}", algs="${DPOP_ALGORITHMS.join(' ')}"`,
    ...nonce,
  });
}

const NONCE_REQUIRED: DpopResult = {
  ok: false,
  error: 'use_dpop_nonce',
  description: 'DPoP: the proof needs the nonce of this response.',
};
const invalidProof = (reason: string): DpopResult => ({
  ok: false,
  error: 'invalid_dpop_proof',
  description: `DPoP: ${reason}.`,
});
