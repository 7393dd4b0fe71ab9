/**
 * Our signing keys as the provider can use them at the least cost: read once, and signed with where
 * they are.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign as signWith } from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey } from 'oidc-provider';
import type { SigningKey } from '../../../core/keys/keys.js';

const signElsewhere = promisify(signWith);

export class NodeSigningKey extends ExternalSigningKey {
  readonly #held: SigningKey;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(held: SigningKey) {
    super();
    this.#held = held;
    this.#privateKey = createPrivateKey({ key: held.jwk, format: 'jwk' });
    this.#publicKey = createPublicKey(this.#privateKey);
  }

  override get kid() {
    return this.#held.kid;
  }

  override get alg() {
    return this.#held.algorithm;
  }

  /** The public half. */
  override keyObject(): KeyObject {
    return this.#publicKey;
  }

  /**
   * In another thread, while others are let in: measured under load, that is cheaper for ECDSA too.
   */
  override async sign(data: Uint8Array): Promise<Uint8Array> {
    return signElsewhere('sha256', data, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
  }
}
