/**
 * Proof of possession: a token that is bound to a key (RFC 9449) or to a certificate (RFC 8705) is
 * worth nothing without it. What is decided here is never remembered: each request brings a proof
 * of its own.
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
  nonces: DpopNonces;
  store: Pick<OAuthStorage['store'], 'useOnce'>;
}

/** What came along with a credential, and how it was sent. Nothing of it is a secret. */
export interface PresentedProof {
  /** Absent for what is no token in an Authorization header: a key, a cookie. */
  scheme?: 'bearer' | 'dpop';
  /** The DPoP proof, and the request that it must be for. */
  proof?: string;
  method?: string;
  url?: string;
  /** The proof was sent to somebody else, who passed it on: a nonce in it is theirs. */
  isForwarded?: boolean;
  /** The certificate that the caller has the key of, and those that came along. */
  certificates?: X509Certificate[];
}

/** `cnf` of a token (RFC 7800). Members that are not known here make it worth nothing. */
export interface Confirmation {
  jkt?: string;
  'x5t#S256'?: string;
}

const KNOWN_MEMBERS = ['jkt', 'x5t#S256'];
/** Longer than any proof is good: its time may be five minutes from ours, either way. */
const REMEMBER_SECONDS = 660;

export type ProofOfPossession = ReturnType<typeof createProofOfPossession>;

export function createProofOfPossession({ clock, nonces, store }: Deps) {
  /** `nextNonce`: the one for the next proof, which may go with any answer. */
  return { check, nextNonce: nonces.newest };

  /** Refuses with `invalid_token` whoever does not have what the token is bound to. */
  async function check(
    credential: string,
    bound: Confirmation | undefined,
    presentation: PresentedProof,
  ): Promise<void> {
    if (bound && !Object.keys(bound).every((member) => KNOWN_MEMBERS.includes(member)))
      throw unauthorized('invalid_token', 'This token is bound to something that is not known here.');
    if (bound?.jkt !== undefined) await checkKey(credential, bound.jkt, presentation);
    else if (presentation.scheme === 'dpop')
      throw unauthorized('invalid_token', 'This token is bound to no key: send it as a bearer token.');
    const hash = bound?.['x5t#S256'];
    const [certificate] = presentation.certificates ?? [];
    if (hash !== undefined && (!certificate || hash !== certificateHash(certificate)))
      throw unauthorized('invalid_token', 'This token is bound to a client certificate, which is not this one.');
  }

  async function checkKey(credential: string, thumbprint: string, presentation: PresentedProof): Promise<void> {
    const { scheme, proof, method = '', url = '', isForwarded = false } = presentation;
    if (scheme !== 'dpop')
      throw refused('invalid_token', 'This token is bound to a key: send it as "DPoP", with a proof.');
    if (!proof) throw refused('use_dpop_nonce', 'This token is bound to a key: a DPoP proof is missing.');
    const request = { method, url, accessToken: credential, now: clock.now() };
    const verdict = await verifyDpopProof(proof, { ...request, ...(!isForwarded && { isNonce: nonces.isFresh }) });
    if (verdict.kind === 'nonce') throw refused('use_dpop_nonce', `DPoP: ${verdict.reason}.`);
    if (verdict.kind === 'invalid') throw refused('invalid_dpop_proof', `DPoP: ${verdict.reason}.`);
    if (verdict.thumbprint !== thumbprint) throw refused('invalid_token', 'This token is bound to another key.');
    // Last of all: only what would have been good is remembered, so that nobody can fill the store
    // with less.
    const mark = sha256(`${thumbprint} ${verdict.jti}`);
    const isFirst = await store.useOnce('DpopProof', mark, addSeconds(clock.now(), REMEMBER_SECONDS));
    if (!isFirst) throw refused('invalid_dpop_proof', 'DPoP: the proof was used before.');
  }

  function refused(error: DpopError, message: string) {
    return invalidProof(message, { error, nonce: nonces.newest() });
  }
}
