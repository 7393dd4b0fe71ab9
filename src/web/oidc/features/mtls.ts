/** Mutual TLS (RFC 8705): client authentication and certificate-bound access tokens. */
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

const SPIFFE_ID = /^spiffe:/;

/**
 * Returns the feature of oidc-provider. It is enabled if client certificates can reach this server.
 */
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

  /**
   * Reports whether the certificate is trusted. Its trust domain must have issued a SPIFFE
   * certificate, a configured CA any other.
   */
  function certificateAuthorized(ctx: KoaContextWithOIDC): boolean {
    const chain = certificates.certificatesOf(ctx.req);
    const spiffeId = ctx.oidc.client?.tlsClientAuthSanUri;
    if (!spiffeId || !SPIFFE_ID.test(spiffeId)) return clientCertificates.isTrustedChain(chain);
    const verdict = workloadIdentities.fromCertificate(chain);
    return verdict.kind === 'valid' && verdict.spiffeId.id === spiffeId;
  }
}
