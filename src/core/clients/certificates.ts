/**
 * Clients that prove who they are by a certificate (RFC 8705, 2.1): by whom it must be signed, and
 * what it must be called.
 */
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

/** The members of RFC 8705, 2.1.2, of which a client has one. */
export type CertificateName =
  | 'tls_client_auth_subject_dn'
  | 'tls_client_auth_san_dns'
  | 'tls_client_auth_san_uri'
  | 'tls_client_auth_san_ip'
  | 'tls_client_auth_san_email';

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Throws a sentence when the file with the authorities cannot be read. */
export function createClientCertificates({ authoritiesFile, clock, log }: Deps) {
  const authorities = authoritiesFile
    ? watchFile({ path: authoritiesFile, parse: readAuthorities, clock, log })
    : undefined;

  return { supports, isTrustedChain, subjectMatches };

  /** Whether any authority is trusted to say who a client is. */
  function supports(): boolean {
    return authorities !== undefined;
  }

  /**
   * Whether one of our authorities stands behind a certificate that may be used for this. The chain
   * begins with it.
   */
  function isTrustedChain(chain: X509Certificate[]): boolean {
    const [certificate] = chain;
    const traits = certificate && extensionsOf(certificate);
    if (!authorities || !traits || traits.isAuthority || !allowsClientAuthentication(traits)) return false;
    return chainsToAuthority(chain, authorities(), clock.now());
  }

  function subjectMatches(certificate: X509Certificate, name: CertificateName, expected: string): boolean {
    const { uris, dnsNames, emails, addresses } = extensionsOf(certificate) ?? {};
    switch (name) {
      case 'tls_client_auth_subject_dn':
        return sameName(expected, certificate.subject);
      case 'tls_client_auth_san_dns':
        return dnsNames?.some((dnsName) => dnsName.toLowerCase() === expected.toLowerCase()) === true;
      case 'tls_client_auth_san_uri':
        return uris?.includes(expected) === true;
      case 'tls_client_auth_san_email':
        return emails?.includes(expected) === true;
      case 'tls_client_auth_san_ip':
        return ipaddr.isValid(expected) && addresses?.includes(inHex(expected)) === true;
    }
  }
}

function readAuthorities(text: string): X509Certificate[] {
  const found = (text.match(PEM) ?? []).map((pem) => new X509Certificate(pem));
  if (found.length === 0) throw new Error('it holds no certificate in PEM form');
  return found;
}

const inHex = (address: string) => Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex');

/**
 * Node writes a name with a line for each part, in the order of the certificate; RFC 4514 begins
 * with the last part and separates by commas. Both escape alike. Whatever is written in still
 * another way is another name.
 */
function sameName(expected: string, subject: string | undefined): boolean {
  const parts = expected.split(/(?<!\\),/).map((part) => part.trim());
  return subject !== undefined && subject !== '' && parts.reverse().join('\n') === subject;
}
