/**
 * Nonces that a server asks DPoP proofs to contain (RFC 9449, 9). Nothing is stored: each is the
 * hour hand and its HMAC.
 */
import { constantTimeEqual, hmacSha256 } from './bytes.js';
import { parseDurationOrThrow } from './duration.js';

export interface DpopNonces {
  /** The one to send in `DPoP-Nonce` now. */
  current(): string;
  accepts(nonce: string): boolean;
}

interface Options {
  /** The same in every process of a service. */
  secret: string;
  /** A nonce is accepted for one to two of these. */
  step?: string;
  now?: () => number;
}

export function createDpopNonces({ secret, step = '1m', now = Date.now }: Options): DpopNonces {
  if (!secret) throw new TypeError('Nonces need a secret');
  const stepMs = parseDurationOrThrow('step', step) * 1000;
  const count = () => Math.floor(now() / stepMs);
  const nonceOf = (n: number) => `${n.toString(36)}.${hmacSha256(secret, `dpop-nonce ${n}`)}`;

  return {
    current: () => nonceOf(count()),
    accepts: (nonce) => [0, 1].some((ago) => constantTimeEqual(nonce, nonceOf(count() - ago))),
  };
}
