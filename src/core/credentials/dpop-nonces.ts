/**
 * Nonces for DPoP proofs (RFC 9449, 8 and 9). Nobody stores them: each is derived from the minute
 * that it belongs to, in the way in which the protocol engine derives its own, so that one nonce is
 * good at the token endpoint and here, and in every process.
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
/**
 * Those of so many minutes before and after this one are good: a nonce lives for three minutes at
 * least.
 */
const STEPS_AROUND = 2;

export type DpopNonces = ReturnType<typeof createDpopNonces>;

export function createDpopNonces({ clock, secrets }: Deps) {
  let computed: { step: number; newest: string; good: string[] } | undefined;

  return { newest, isFresh };

  /** The one to hand out now. */
  function newest(): string {
    return current().newest;
  }

  function isFresh(nonce: string): boolean {
    return current().good.some((good) => constantTimeEqual(good, nonce));
  }

  function current() {
    const step = Math.floor(epochSeconds(clock.now()) / MINUTE_SECONDS);
    if (computed?.step === step) return computed;
    const steps = Array.from({ length: 2 * STEPS_AROUND + 1 }, (_, n) => step - STEPS_AROUND + n);
    const keys = secrets.keys('dpop-nonce');
    const good = keys.flatMap((key) => steps.map((each) => nonceOf(key, each)));
    computed = { step, newest: nonceOf(keys[0]!, step + 1), good };
    return computed;
  }
}

function nonceOf(key: Buffer, step: number): string {
  const salt = Buffer.alloc(8);
  salt.writeBigUInt64BE(BigInt(step));
  return Buffer.from(hkdfSync('sha256', key, salt, INFO, NONCE_BYTES)).toString('base64url');
}
