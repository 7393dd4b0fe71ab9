/**
 * Mutual TLS as the protocol engine wants it said (RFC 8705): whose certificate it is, who vouches
 * for it, and what it is called.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../../../base/config.js';
import type { CertificateName } from '../../../core/clients/certificates.js';
import type { Core } from '../../../core/core.js';
import type { ClientCertificateReader } from '../../http/client-certificate.js';

interface Deps {
  config: Pick<Config, 'certificates' | 'trustedProxies'>;
  core: Pick<Core, 'clientCertificates' | 'workloadIdentities'>;
  certificates: ClientCertificateReader;
}

const WORKLOAD = /^spiffe:/;

export function mutualTls({ config, core, certificates }: Deps) {
  const { clientCertificates, workloadIdentities } = core;
  const enabled = config.trustedProxies.length > 0 || config.certificates.tls !== undefined;
  return {
    enabled,
    certificateBoundAccessTokens: true,
    tlsClientAuth: enabled && (clientCertificates.supports() || workloadIdentities.isEnabled()),
    selfSignedTlsClientAuth: false,
    getCertificate: (ctx: KoaContextWithOIDC) => certificates.certificatesOf(ctx.req)[0],
    certificateAuthorized,
    certificateSubjectMatches: (ctx: KoaContextWithOIDC, name: CertificateName, expected: string) =>
      clientCertificates.subjectMatches(certificates.certificatesOf(ctx.req)[0]!, name, expected),
  };

  /** For a workload, nobody but its own trust domain can vouch. */
  function certificateAuthorized(ctx: KoaContextWithOIDC): boolean {
    const chain = certificates.certificatesOf(ctx.req);
    const workload = ctx.oidc.client?.tlsClientAuthSanUri;
    if (!workload || !WORKLOAD.test(workload)) return clientCertificates.isTrustedChain(chain);
    const verdict = workloadIdentities.fromCertificate(chain);
    return verdict.kind === 'valid' && verdict.spiffeId.id === workload;
  }
}
