/**
 * Bounds the keys with which oidc-provider verifies a client's assertions, also those from a
 * `jwks_uri`. It tries every key that could fit.
 */
import type { Client } from 'oidc-provider';
import { isBoundedKey } from '../../../kit/verification-cost.js';
import type { ClientKeyStore, ProviderInternals } from '../provider-internals.js';

/** Patches the key stores of a provider's clients. */
export function patchClientKeys({ Client: ClientModel }: ProviderInternals, { maxKeys }: { maxKeys: number }): void {
  const prototype = keyStorePrototypeOf(ClientModel);
  const { add, selectForVerify } = prototype;

  prototype.add = function addBounded(key) {
    if (isBoundedKey(key) && [...this].length < maxKeys) add.call(this, key);
  };

  prototype.selectForVerify = function selectOne(options) {
    const keys = selectForVerify.call(this, options);
    // Without `kid`, every wrong signature would cost one verification for each key.
    return options.kid === undefined && keys.length > 1 ? [] : keys;
  };
}

/** Returns the prototype of the key stores. The class is not exported, so this asks an instance. */
function keyStorePrototypeOf(ClientModel: ProviderInternals['Client']): ClientKeyStore {
  const client = new ClientModel({
    client_id: 'none',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['https://none.invalid/'],
  });
  return Object.getPrototypeOf((client as Client & { asymmetricKeyStore: ClientKeyStore }).asymmetricKeyStore);
}
