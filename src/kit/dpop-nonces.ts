/**
 * Creates the nonces that a server requires in DPoP proofs (RFC 9449, 9). A nonce is a time step
 * and its HMAC, so the server does not store it.
 */
import { constantTimeEqual, hmacSha256 } from './bytes.js';
import { parseDurationOrThrow } from './duration.js';

export interface DpopNonces {
  /** Returns the nonce to send in `DPoP-Nonce` now. */
  current(): string;
  /** Reports whether this server created the nonce, and it has not expired. */
  accepts(nonce: string): boolean;
}

interface Options {
  /** Must be the same in every process of a service. */
  secret: string;
  /** The time step, default 1m. A nonce is accepted for one to two steps. */
  step?: string;
  now?: () => number;
}

/** Creates nonces from a secret. Throws a TypeError if it is empty, or if `step` is invalid. */
export function createDpopNonces({ secret, step = '1m', now = Date.now }: Options): DpopNonces {
  if (!secret) throw new TypeError('Nonces need a secret');
  const stepMs = parseDurationOrThrow('step', step) * 1000;
  const currentStep = () => Math.floor(now() / stepMs);
  const nonceOf = (n: number) => `${n.toString(36)}.${hmacSha256(secret, `dpop-nonce ${n}`)}`;

  return {
    current: () => nonceOf(currentStep()),
    accepts: (nonce) => [0, 1].some((stepsAgo) => constantTimeEqual(nonce, nonceOf(currentStep() - stepsAgo))),
  };
}
