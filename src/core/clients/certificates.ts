/** Client authentication by a certificate from a trusted authority (RFC 8705, section 2.1). */
import { X509Certificate } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { watchFile } from '../../base/watched-file.js';
import { chainsToAuthority, extensionsOf } from '../../kit/certificate.js';
import { allowsClientAuthentication } from '../../kit/certificate-extensions.js';

interface Deps {
  authoritiesFile: string | undefined;
  clock: Clock;
  log: Log;
}

/** The metadata members of RFC 8705, section 2.1.2. A client has exactly one of them. */
export type CertificateName =
  | 'tls_client_auth_subject_dn'
  | 'tls_client_auth_san_dns'
  | 'tls_client_auth_san_uri'
  | 'tls_client_auth_san_ip'
  | 'tls_client_auth_san_email';

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Throws an `Error` at startup if the file with the authorities cannot be read. */
export function createClientCertificates({ authoritiesFile, clock, log }: Deps) {
  const authorities = authoritiesFile
    ? watchFile({ path: authoritiesFile, parse: readAuthorities, clock, log })
    : undefined;

  return { supports, isTrustedChain, subjectMatches };

  /** Reports whether authorities are configured, so that clients can use certificates. */
  function supports(): boolean {
    return authorities !== undefined;
  }

  /**
   * Reports whether the first certificate of the chain can authenticate clients and was issued
   * under one of the authorities.
   */
  function isTrustedChain(chain: X509Certificate[]): boolean {
    const [certificate] = chain;
    const extensions = certificate && extensionsOf(certificate);
    if (!authorities || !extensions || extensions.isAuthority || !allowsClientAuthentication(extensions)) return false;
    return chainsToAuthority(chain, authorities(), clock.now());
  }

  /** Reports whether the certificate has the expected name of this kind. */
  function subjectMatches(certificate: X509Certificate, name: CertificateName, expected: string): boolean {
    const { uris, dnsNames, emails, addresses } = extensionsOf(certificate) ?? {};
    switch (name) {
      case 'tls_client_auth_subject_dn':
        return isSameDistinguishedName(expected, certificate.subject);
      case 'tls_client_auth_san_dns':
        return dnsNames?.some((dnsName) => dnsName.toLowerCase() === expected.toLowerCase()) === true;
      case 'tls_client_auth_san_uri':
        return uris?.includes(expected) === true;
      case 'tls_client_auth_san_email':
        return emails?.includes(expected) === true;
      case 'tls_client_auth_san_ip':
        return ipaddr.isValid(expected) && addresses?.includes(toHex(expected)) === true;
    }
  }
}

function readAuthorities(text: string): X509Certificate[] {
  const certificates = (text.match(PEM_CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem));
  if (certificates.length === 0) throw new Error('it contains no certificate in PEM format');
  return certificates;
}

const toHex = (address: string) => Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex');

/**
 * Reports whether the subject of a certificate is the expected distinguished name. The expected
 * name follows RFC 4514: comma-separated, last part first. Node.js writes one part per line, in
 * certificate order. Both formats use the same escapes. Other spellings of the same name do not
 * match.
 */
function isSameDistinguishedName(expected: string, subject: string | undefined): boolean {
  const parts = expected.split(/(?<!\\),/).map((part) => part.trim());
  return subject !== undefined && subject !== '' && parts.reverse().join('\n') === subject;
}
