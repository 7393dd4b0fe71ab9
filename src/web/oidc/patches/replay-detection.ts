/**
 * Single use of `jti` (DPoP proofs, client assertions): the provider finds, then saves, and two
 * requests at once would both pass.
 */
import { sha256 } from '../../../base/crypto.js';
import type { OAuthStorage } from '../../../core/oauth-storage/oauth-storage.js';
import type { ProviderInternals } from '../provider-internals.js';

export function patchReplayDetection({ ReplayDetection }: ProviderInternals, { store }: OAuthStorage): void {
  ReplayDetection.unique = async function unique(issuer, jti, expiresAt) {
    return store.useOnce('ReplayDetection', sha256(`${issuer} ${jti}`), new Date(expiresAt * 1000));
  };
}
