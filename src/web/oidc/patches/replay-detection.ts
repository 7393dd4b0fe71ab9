/** Single use of `jti` (DPoP proofs, client assertions): the provider finds, then saves, and two requests at once would both pass. */
import { sha256 } from '../../../base/crypto.js';
import type { Artifacts } from '../../../core/oauth-storage/oauth-storage.js';
import type { Engine } from '../provider-internals.js';

export function patchReplayDetection({ ReplayDetection }: Engine, { store }: Artifacts): void {
  ReplayDetection.unique = async function unique(issuer, jti, expiresAt) {
    return store.markOnce('ReplayDetection', sha256(`${issuer} ${jti}`), new Date(expiresAt * 1000));
  };
}
