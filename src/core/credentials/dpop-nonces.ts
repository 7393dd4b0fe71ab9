/**
 * Nonces for DPoP proofs (RFC 9449, sections 8 and 9). They are not stored: each is derived from
 * its minute, as in the protocol engine. So a nonce of the token endpoint is valid here and in
 * every process.
 */
import { hkdfSync } from 'node:crypto';
import { type Clock, epochSeconds, MINUTE_SECONDS } from '../../base/clock.js';
import { constantTimeEqual, type Secrets } from '../../base/crypto.js';

interface Deps {
  clock: Clock;
  secrets: Pick<Secrets, 'keys'>;
}

const INFO = 'DPoP';
const NONCE_BYTES = 32;
/** The number of earlier and later minutes whose nonces are valid, so that clocks can differ. */
const STEPS_AROUND = 2;

export type DpopNonces = ReturnType<typeof createDpopNonces>;

export function createDpopNonces({ clock, secrets }: Deps) {
  let computed: { step: number; newest: string; valid: string[] } | undefined;

  return { newest, isFresh };

  /** Returns the nonce to issue now. */
  function newest(): string {
    return current().newest;
  }

  /** Reports whether a nonce is valid now. Compares in constant time. */
  function isFresh(nonce: string): boolean {
    return current().valid.some((valid) => constantTimeEqual(valid, nonce));
  }

  function current() {
    const step = Math.floor(epochSeconds(clock.now()) / MINUTE_SECONDS);
    if (computed?.step === step) return computed;
    const steps = Array.from({ length: 2 * STEPS_AROUND + 1 }, (_, n) => step - STEPS_AROUND + n);
    const keys = secrets.keys('dpop-nonce');
    const valid = keys.flatMap((key) => steps.map((each) => nonceOf(key, each)));
    computed = { step, newest: nonceOf(keys[0]!, step + 1), valid };
    return computed;
  }
}

function nonceOf(key: Buffer, step: number): string {
  const salt = Buffer.alloc(8);
  salt.writeBigUInt64BE(BigInt(step));
  return Buffer.from(hkdfSync('sha256', key, salt, INFO, NONCE_BYTES)).toString('base64url');
}
