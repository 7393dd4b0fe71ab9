/** Settings of certificates: TLS without a proxy, client certificates, and SPIFFE. */

import { defineTopic } from './base-config.js';
import { list, optional, string } from './setting.js';

export interface CertificateConfig {
  /** The header with the client certificate, in lower case. Only trusted proxies can send it. */
  header: string;
  /** PEM file with the certificate authorities for `tls_client_auth` (RFC 8705). */
  authoritiesFile: string | undefined;
  spiffe: SpiffeConfig | undefined;
  /** The certificate of this server, if no proxy terminates TLS. */
  tls: { certificateFile: string; keyFile: string } | undefined;
}

export interface SpiffeConfig {
  trustDomains: string[];
  /** Contains `<trust domain>.json` for each trust domain. */
  bundlesFolder: string;
}

const HEADER_NAME = /^[\w-]{1,60}$/;
/** Headers that have another meaning. */
const RESERVED_HEADERS =
  /^(authorization|cookie|host|dpop|content-.*|x-forwarded-.*|x-api-key|x-csrf-token|forwarded|connection)$/;
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;

export const certificates = defineTopic({
  title: 'Certificates and SPIFFE',
  settings: {
    tlsCertificate: optional(
      'TLS_CERT_FILE',
      'Certificate chain (PEM) for HTTPS without a proxy. Requires TLS_KEY_FILE.',
    ),
    tlsKey: optional('TLS_KEY_FILE', 'Private key (PEM) of TLS_CERT_FILE.'),
    header: string(
      'CLIENT_CERT_HEADER',
      'X-Client-Cert',
      'Header in which trusted proxies pass the client certificate, as URL-encoded PEM or base64 DER.',
    ),
    authoritiesFile: optional(
      'CLIENT_CA_FILE',
      'Certificate authorities (PEM) that issue the certificates of OAuth clients with tls_client_auth (RFC 8705).',
    ),
    ownTrustDomain: optional(
      'SPIFFE_TRUST_DOMAIN',
      'SPIFFE trust domain whose workloads can authenticate with an SVID. Requires SPIFFE_BUNDLES.',
    ),
    moreTrustDomains: list('SPIFFE_TRUSTED_DOMAINS', 'More SPIFFE trust domains.'),
    bundlesFolder: optional(
      'SPIFFE_BUNDLES',
      'Folder with the trust bundle of each trust domain: <trust domain>.json.',
    ),
  },
  resolve({ tlsCertificate, tlsKey, header, authoritiesFile, ...spiffe }): { certificates: CertificateConfig } {
    const trustDomains = trustDomainsOf(spiffe);
    return {
      certificates: {
        header: header.toLowerCase(),
        authoritiesFile,
        spiffe: trustDomains.length > 0 ? { trustDomains, bundlesFolder: spiffe.bundlesFolder ?? '' } : undefined,
        tls: tlsCertificate && tlsKey ? { certificateFile: tlsCertificate, keyFile: tlsKey } : undefined,
      },
    };
  },
  check(values, { trustedProxies, issuer }) {
    const { tlsCertificate, tlsKey, authoritiesFile, bundlesFolder } = values;
    const header = values.header.toLowerCase();
    const trustDomains = trustDomainsOf(values);
    const invalidDomain = trustDomains.find((name) => !TRUST_DOMAIN.test(name) || name.startsWith('.'));
    return [
      (!HEADER_NAME.test(header) || RESERVED_HEADERS.test(header)) &&
        'CLIENT_CERT_HEADER is not valid; allowed: letters, digits and -, and no header that has another meaning',
      invalidDomain !== undefined &&
        `SPIFFE_TRUST_DOMAIN or SPIFFE_TRUSTED_DOMAINS contains "${invalidDomain}"; allowed: names such as example.org, in lower case, without spiffe://`,
      trustDomains.length > 0 &&
        !bundlesFolder &&
        'SPIFFE_BUNDLES is missing: set it to the folder with a bundle for each trust domain, such as example.org.json',
      trustDomains.length === 0 &&
        bundlesFolder !== undefined &&
        'SPIFFE_BUNDLES has no effect without SPIFFE_TRUST_DOMAIN',
      Boolean(tlsCertificate) !== Boolean(tlsKey) && 'TLS_CERT_FILE and TLS_KEY_FILE must be set together',
      tlsCertificate !== undefined &&
        !issuer.startsWith('https:') &&
        'TLS_CERT_FILE makes this server use HTTPS, so ISSUER must start with https://',
      authoritiesFile !== undefined &&
        trustedProxies.length === 0 &&
        !tlsCertificate &&
        'CLIENT_CA_FILE has no effect without client certificates: set TRUSTED_PROXIES, or TLS_CERT_FILE and TLS_KEY_FILE',
    ];
  },
});

function trustDomainsOf(values: { ownTrustDomain: string | undefined; moreTrustDomains: string[] }): string[] {
  return [...new Set([...(values.ownTrustDomain ? [values.ownTrustDomain] : []), ...values.moreTrustDomains])];
}
