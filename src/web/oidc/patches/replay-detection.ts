/**
 * Accepts each `jti` of DPoP proofs and client assertions once, atomically. The provider looks it
 * up and then saves it, so two concurrent requests would both pass.
 */
import { sha256 } from '../../../base/crypto.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { ProviderInternals } from '../provider-internals.js';

/** Patches `ReplayDetection.unique` of a provider. */
export function patchReplayDetection({ ReplayDetection }: ProviderInternals, { store }: OAuthStorage): void {
  ReplayDetection.unique = async function unique(issuer, jti, expiresAt) {
    return store.useOnce('ReplayDetection', sha256(`${issuer} ${jti}`), new Date(expiresAt * 1000));
  };
}
