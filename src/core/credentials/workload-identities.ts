/**
 * Workloads: programs that are known by what their platform certifies (SPIFFE), without any secret
 * of ours. Whose a certificate or a token is, the authorities of its trust domain say; what it may
 * do, a client or a route says.
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

export type WorkloadIdentities = ReturnType<typeof createWorkloadIdentities>;

/** Throws a sentence when the bundle of a trust domain cannot be read. */
export function createWorkloadIdentities({ spiffe, clock, log }: Deps) {
  const files = new Map<string, () => SpiffeBundle>();
  for (const name of spiffe?.trustDomains ?? []) {
    const path = join(spiffe!.bundlesFolder, `${name}.json`);
    files.set(name, watchFile({ path, parse: parseSpiffeBundle, clock, log }));
  }
  const bundleOf = (trustDomain: string) => files.get(trustDomain)?.();

  return { isEnabled, hasSpiffeId, fromCertificate, fromToken };

  /** Whether any trust domain is trusted here. */
  function isEnabled(): boolean {
    return files.size > 0;
  }

  /**
   * Whether the certificate says that it is a workload's. Whether that is true is another question.
   */
  function hasSpiffeId(certificate: X509Certificate): boolean {
    return isEnabled() && spiffeIdOf(certificate) !== undefined;
  }

  /** Whose certificate it is. The chain begins with it. */
  function fromCertificate(chain: X509Certificate[]): SvidVerdict {
    return verifyX509Svid(chain, bundleOf, clock.now());
  }

  /** Whose token it is, if it is meant for one of these. */
  function fromToken(token: string, audience: string[]): Promise<SvidVerdict> {
    return verifyJwtSvid(token, bundleOf, { audience, now: clock.now() });
  }
}
