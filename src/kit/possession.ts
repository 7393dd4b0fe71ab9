/**
 * Proof of possession for a service (RFC 9449): a proof for this request, with a nonce where one is
 * wanted, of the right key, and once.
 */

import { type AuthError, refusal } from './auth-error.js';
import { sha256Base64url } from './bytes.js';
import { DPOP_ALGORITHMS, verifyDpopProof } from './dpop.js';
import type { DpopNonces } from './dpop-nonces.js';
import type { ReplayStore } from './replay-store.js';

/** What the proof has to be for. */
export interface BoundRequest {
  method: string;
  /** As the client knows it: behind a proxy, the public URL. Query and fragment do not count. */
  url: string;
  /** The credential that came with it; then the proof must name its hash. */
  accessToken?: string;
  /** The thumbprint of the key that the credential is bound to (`cnf.jkt`). */
  boundTo?: string;
}

export interface DpopOptions {
  replays: ReplayStore;
  /** When given, proofs must contain a nonce of this server. */
  nonces?: DpopNonces;
  /** How far the time of a proof may be from ours. */
  maxAgeSeconds?: number;
  now?: () => number;
}

export type DpopResult =
  | { ok: true; jkt: string }
  | { ok: false; error: 'invalid_dpop_proof' | 'use_dpop_nonce'; description: string };

const MAX_AGE_SECONDS = 60;

/**
 * Checks a proof by RFC 9449, 4.3, then that its key is the one that the token is bound to, then
 * that it was not used before. Never rejects, unless the store of used proofs does.
 */
export async function verifyDpop(
  proof: string,
  { boundTo, ...request }: BoundRequest,
  { replays, nonces, maxAgeSeconds = MAX_AGE_SECONDS, now = Date.now }: DpopOptions,
): Promise<DpopResult> {
  if (typeof proof !== 'string' || proof === '') return nonces ? nonceWanted : wrong('a proof is missing');
  const verdict = await verifyDpopProof(proof, {
    ...request,
    isNonce: nonces?.accepts,
    now: new Date(now()),
    maxAgeSeconds,
  });
  if (verdict.kind === 'nonce') return nonceWanted;
  if (verdict.kind === 'invalid') return wrong(verdict.reason);
  const { thumbprint: jkt, jti, issuedAt } = verdict;
  if (boundTo !== undefined && boundTo !== jkt) return wrong('the token is bound to another key');
  // Last of all: only what would have been good is remembered, so that nobody can fill the store
  // with less.
  const until = new Date(issuedAt.getTime() + maxAgeSeconds * 1000);
  const isFirst = await replays.firstUse(sha256Base64url(`${jkt} ${jti}`), until);
  return isFirst ? { ok: true, jkt } : wrong('the proof was used before');
}

/** 401 for a proof that was not right, with the nonce for the next one. */
export function dpopRequired(
  { error, description }: Extract<DpopResult, { ok: false }>,
  nonces?: DpopNonces,
): AuthError {
  const nonce = nonces && { 'DPoP-Nonce': nonces.current() };
  return refusal(401, error, description, {
    'WWW-Authenticate': `DPoP error="${error}", algs="${DPOP_ALGORITHMS.join(' ')}"`,
    ...nonce,
  });
}

const nonceWanted: DpopResult = {
  ok: false,
  error: 'use_dpop_nonce',
  description: 'DPoP: the proof needs the nonce of this answer.',
};
const wrong = (reason: string): DpopResult => ({
  ok: false,
  error: 'invalid_dpop_proof',
  description: `DPoP: ${reason}.`,
});
