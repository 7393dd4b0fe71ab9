/**
 * Verifies proof of possession for sender-constrained tokens: DPoP (RFC 9449) and client
 * certificates (RFC 8705). Results are never cached: each request carries its own proof.
 */
import type { X509Certificate } from 'node:crypto';
import { type DpopError, invalidProof, unauthorized } from '../../base/app-error.js';
import { addSeconds, type Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import { certificateHash } from '../../kit/certificate.js';
import { verifyDpopProof } from '../../kit/dpop.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { DpopNonces } from './dpop-nonces.js';

interface Deps {
  clock: Clock;
  dpopNonces: DpopNonces;
  ephemeralStore: Pick<OAuthStorage['store'], 'useOnce'>;
}

/** The proof that accompanies a credential. It contains no secret. */
export interface PresentedProof {
  /** The scheme of the Authorization header; absent for API keys and cookies. */
  scheme?: 'bearer' | 'dpop';
  /** The DPoP proof. */
  proof?: string;
  /** The method of the request that the proof must be for. */
  method?: string;
  /** The URL of the request that the proof must be for. */
  url?: string;
  /** Whether a service forwards a proof that it received. The nonce is then the service's own. */
  isForwarded?: boolean;
  /** The client certificate whose key the caller holds, and its chain. */
  certificates?: X509Certificate[];
}

/** The claim `cnf` of a token (RFC 7800). A token with unknown members is rejected. */
export interface Confirmation {
  jkt?: string;
  'x5t#S256'?: string;
}

const KNOWN_MEMBERS = ['jkt', 'x5t#S256'];
/** Exceeds twice the five minutes by which the `iat` of a proof can differ from our clock. */
const REPLAY_WINDOW_SECONDS = 660;

export type ProofOfPossession = ReturnType<typeof createProofOfPossession>;

export function createProofOfPossession({ clock, dpopNonces, ephemeralStore }: Deps) {
  return { check, nextNonce: dpopNonces.newest };

  /**
   * Verifies that the caller holds the key or certificate to which the token is bound. Throws
   * `invalid_token`, or a DPoP error with a nonce for the next proof.
   */
  async function check(
    credential: string,
    bound: Confirmation | undefined,
    presentation: PresentedProof,
  ): Promise<void> {
    if (bound && !Object.keys(bound).every((member) => KNOWN_MEMBERS.includes(member)))
      throw unauthorized('invalid_token', 'This token is bound by a confirmation method that is not supported.');
    if (bound?.jkt !== undefined) await checkKey(credential, bound.jkt, presentation);
    else if (presentation.scheme === 'dpop')
      throw unauthorized('invalid_token', 'This token is not bound to a key: send it as a bearer token.');
    const hash = bound?.['x5t#S256'];
    const [certificate] = presentation.certificates ?? [];
    if (hash !== undefined && (!certificate || hash !== certificateHash(certificate)))
      throw unauthorized('invalid_token', 'This token is bound to another client certificate.');
  }

  async function checkKey(credential: string, thumbprint: string, presentation: PresentedProof): Promise<void> {
    const { scheme, proof, method = '', url = '', isForwarded = false } = presentation;
    if (scheme !== 'dpop')
      throw dpopError('invalid_token', 'This token is bound to a key: send it as "DPoP", with a proof.');
    if (!proof) throw dpopError('use_dpop_nonce', 'This token is bound to a key: a DPoP proof is missing.');
    const request = { method, url, accessToken: credential, now: clock.now() };
    const verdict = await verifyDpopProof(proof, { ...request, ...(!isForwarded && { isNonce: dpopNonces.isFresh }) });
    if (verdict.kind === 'nonce') throw dpopError('use_dpop_nonce', `DPoP: ${verdict.reason}.`);
    if (verdict.kind === 'invalid') throw dpopError('invalid_dpop_proof', `DPoP: ${verdict.reason}.`);
    if (verdict.thumbprint !== thumbprint) throw dpopError('invalid_token', 'This token is bound to another key.');
    // Checked last: only valid proofs are stored, so that invalid ones cannot fill the store.
    const proofId = sha256(`${thumbprint} ${verdict.jti}`);
    const isFirst = await ephemeralStore.useOnce('DpopProof', proofId, addSeconds(clock.now(), REPLAY_WINDOW_SECONDS));
    if (!isFirst) throw dpopError('invalid_dpop_proof', 'DPoP: the proof has already been used.');
  }

  function dpopError(error: DpopError, message: string) {
    return invalidProof(message, { error, nonce: dpopNonces.newest() });
  }
}
