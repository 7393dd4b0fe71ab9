/** Signing keys for oidc-provider. Each is parsed once and not for every signature. */
import { createPrivateKey, createPublicKey, type KeyObject, sign as signWith } from 'node:crypto';
import { promisify } from 'node:util';
import { ExternalSigningKey } from 'oidc-provider';
import type { SigningKey } from '../../../core/keys/signing-key.js';

const signInThreadPool = promisify(signWith);

/** A private key that signs with `node:crypto`. */
export class NodeSigningKey extends ExternalSigningKey {
  readonly #key: SigningKey;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(key: SigningKey) {
    super();
    this.#key = key;
    this.#privateKey = createPrivateKey({ key: key.jwk, format: 'jwk' });
    this.#publicKey = createPublicKey(this.#privateKey);
  }

  override get kid() {
    return this.#key.kid;
  }

  override get alg() {
    return this.#key.algorithm;
  }

  /** The public key. */
  override keyObject(): KeyObject {
    return this.#publicKey;
  }

  /** Signs in the thread pool. Under load, that costs less CPU time, for ECDSA too (measured). */
  override async sign(data: Uint8Array): Promise<Uint8Array> {
    return signInThreadPool('sha256', data, { key: this.#privateKey, dsaEncoding: 'ieee-p1363' });
  }
}
