/** DPoP proofs (RFC 9449): whoever sends a token also shows that they hold a key, for this very request. */
import { calculateJwkThumbprint, compactVerify, EmbeddedJWK, type JWK } from 'jose';
import { isCompactJws, jsonObject, sha256Base64url } from './bytes.js';
import type { DpopNonces } from './dpop-nonces.js';
import { type Refusal, refusal } from './refusal.js';
import type { ReplayStore } from './replay-store.js';

/** What the proof has to be for. */
export interface DpopRequest {
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
  /** How old a proof may be. */
  maxAgeSeconds?: number;
  now?: () => number;
}

export type DpopResult =
  | { ok: true; jkt: string }
  | { ok: false; error: 'invalid_dpop_proof' | 'use_dpop_nonce'; description: string };

const ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'ES384', 'PS256', 'RS256'];
const MAX_AGE_SECONDS = 60;
/** The client's clock may be ahead of ours. */
const SKEW_SECONDS = 10;
const MAX_JTI_LENGTH = 512;

/**
 * Checks a proof by RFC 9449, 4.3: form, signature by the key that it carries, method, URL, age, nonce, hash of the token, and the key that
 * the token is bound to; then that it was not used before. Never rejects, unless the store of used proofs does.
 */
export async function verifyDpop(proof: string, request: DpopRequest, options: DpopOptions): Promise<DpopResult> {
  const { replays, nonces, maxAgeSeconds = MAX_AGE_SECONDS, now = Date.now } = options;
  const verified = await verifySignature(proof);
  if (!verified) return wrong('The proof is not one, or its signature is wrong.');
  const { jwk, claims } = verified;

  const fault = faultOf(claims, request, { seconds: now() / 1000, maxAgeSeconds });
  if (fault) return wrong(fault);
  if (nonces && !(typeof claims.nonce === 'string' && nonces.accepts(claims.nonce))) {
    return { ok: false, error: 'use_dpop_nonce', description: 'Repeat the proof with the nonce of this answer.' };
  }
  const jkt = await calculateJwkThumbprint(jwk);
  if (request.boundTo !== undefined && request.boundTo !== jkt) return wrong('The token is bound to another key.');

  const until = new Date(((claims.iat as number) + maxAgeSeconds + SKEW_SECONDS) * 1000);
  const first = await replays.firstUse(sha256Base64url(`${jkt} ${claims.jti}`), until);
  return first ? { ok: true, jkt } : wrong('The proof was used before.');
}

/** 401 for a proof that was not right, with the nonce for the next one. */
export function dpopRequired({ error, description }: Extract<DpopResult, { ok: false }>, nonces?: DpopNonces): Refusal {
  const nonce = nonces && { 'DPoP-Nonce': nonces.current() };
  return refusal(401, error, description, {
    'WWW-Authenticate': `DPoP error="${error}", algs="${ALGORITHMS.join(' ')}"`,
    ...nonce,
  });
}

async function verifySignature(proof: unknown): Promise<{ jwk: JWK; claims: Record<string, unknown> } | undefined> {
  if (typeof proof !== 'string' || !isCompactJws(proof)) return undefined;
  try {
    const { protectedHeader } = await compactVerify(proof, EmbeddedJWK, { algorithms: ALGORITHMS });
    const claims = jsonObject(proof.split('.')[1]!);
    const { typ, jwk } = protectedHeader;
    return typ?.toLowerCase() === 'dpop+jwt' && jwk && claims ? { jwk, claims } : undefined;
  } catch {
    return undefined; // a stranger's key can be wrong in as many ways as there are runtimes
  }
}

function faultOf(
  { htm, htu, iat, jti, ath }: Record<string, unknown>,
  { method, url, accessToken }: DpopRequest,
  { seconds, maxAgeSeconds }: { seconds: number; maxAgeSeconds: number },
): string | undefined {
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return 'The proof has no jti.';
  if (htm !== method) return 'The proof is for another method.';
  if (typeof htu !== 'string' || htuOf(htu) === undefined || htuOf(htu) !== htuOf(url))
    return 'The proof is for another URL.';
  if (typeof iat !== 'number' || iat < seconds - maxAgeSeconds || iat > seconds + SKEW_SECONDS)
    return 'The proof is too old, or from the future.';
  if (accessToken !== undefined && ath !== sha256Base64url(accessToken)) return 'The proof is for another token.';
  return undefined;
}

/** What a proof calls a URL: without query and fragment, normalised as RFC 3986 (6.2) has it. Undefined for what is no URL. */
export function htuOf(url: string): string | undefined {
  try {
    const { origin, pathname } = new URL(url);
    return origin + pathname;
  } catch {
    return undefined;
  }
}

const wrong = (description: string): DpopResult => ({ ok: false, error: 'invalid_dpop_proof', description });
