/**
 * Workload identities (SPIFFE): programs that their platform identifies, without a shared secret.
 * The authorities of the trust domain verify the identity; clients and routes decide on access.
 */
import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { SpiffeConfig } from '../../base/config/certificates.js';
import type { Log } from '../../base/log.js';
import { watchFile } from '../../base/watched-file.js';
import {
  parseSpiffeBundle,
  type SpiffeBundle,
  type SvidVerdict,
  spiffeIdOf,
  verifyJwtSvid,
  verifyX509Svid,
} from '../../kit/spiffe.js';

interface Deps {
  spiffe: SpiffeConfig | undefined;
  clock: Clock;
  log: Log;
}

export type WorkloadIdentities = ReturnType<typeof createWorkloadVerifier>;

/** Throws an `Error` for the administrator if the bundle of a trust domain cannot be read. */
export function createWorkloadVerifier({ spiffe, clock, log }: Deps) {
  const files = new Map<string, () => SpiffeBundle>();
  for (const name of spiffe?.trustDomains ?? []) {
    const path = join(spiffe!.bundlesFolder, `${name}.json`);
    files.set(name, watchFile({ path, parse: parseSpiffeBundle, clock, log }));
  }
  const bundleOf = (trustDomain: string) => files.get(trustDomain)?.();

  return { isEnabled, hasSpiffeId, fromCertificate, fromToken };

  /** Reports whether any trust domain is configured. */
  function isEnabled(): boolean {
    return files.size > 0;
  }

  /** Reports whether the certificate contains a SPIFFE ID. It is not verified. */
  function hasSpiffeId(certificate: X509Certificate): boolean {
    return isEnabled() && spiffeIdOf(certificate) !== undefined;
  }

  /** Verifies an X.509-SVID, the first certificate of the chain. */
  function fromCertificate(chain: X509Certificate[]): SvidVerdict {
    return verifyX509Svid(chain, bundleOf, clock.now());
  }

  /** Verifies a JWT-SVID for one of these audiences. */
  function fromToken(token: string, audience: string[]): Promise<SvidVerdict> {
    return verifyJwtSvid(token, bundleOf, { audience, now: clock.now() });
  }
}
