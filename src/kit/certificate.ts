/**
 * Verifies certificate chains (RFC 5280). Needs node:crypto, which compares names and verifies
 * signatures. `certificate-extensions.ts` reads the extensions.
 */
import type { X509Certificate } from 'node:crypto';
import {
  allowsClientAuthentication,
  type CertificateExtensions,
  parseCertificateExtensions,
} from './certificate-extensions.js';
import { isBoundedPublicKey } from './verification-cost.js';

const extensionsCache = new WeakMap<X509Certificate, CertificateExtensions | undefined>();

/**
 * Returns the extensions of a certificate, parsed once. Returns undefined if it is malformed, or
 * has an unsupported critical extension.
 */
export function extensionsOf(certificate: X509Certificate): CertificateExtensions | undefined {
  if (!extensionsCache.has(certificate)) extensionsCache.set(certificate, parseCertificateExtensions(certificate.raw));
  return extensionsCache.get(certificate);
}

/**
 * Reports whether a chain leads to one of the authorities, with certificates that are valid at
 * `now`. The chain starts with the certificate of the client. The others can be in any order.
 */
export function chainsToAuthority(
  [leaf, ...others]: X509Certificate[],
  authorities: readonly X509Certificate[],
  now = new Date(),
): boolean {
  // Breadth-first search that visits each certificate once. The client chooses the chain, and
  // certificates that have signed each other form exponentially many paths.
  let level = leaf && isValidAt(extensionsOf(leaf), now) ? [leaf] : [];
  let unused = others;
  for (let depth = 0; level.length > 0; depth += 1) {
    const isNext = (issuer: X509Certificate) => level.some((subject) => isIssuer(issuer, subject, depth));
    if (authorities.some(isNext)) return true;
    const next = unused.filter(isNext);
    unused = unused.filter((certificate) => !next.includes(certificate));
    level = next;
  }
  return false;

  function isIssuer(issuer: X509Certificate, subject: X509Certificate, depth: number): boolean {
    const extensions = subject.checkIssued(issuer) ? extensionsOf(issuer) : undefined;
    const { isAuthority, pathLength = Number.POSITIVE_INFINITY, keyUsage } = extensions ?? {};
    if (!extensions || !isAuthority || !isValidAt(extensions, now)) return false;
    // The extended key usage of an authority limits the certificates below it (RFC 5280, 4.2.1.12).
    // Name constraints are not evaluated, so they are not accepted.
    if (!allowsClientAuthentication(extensions) || extensions.hasNameConstraints) return false;
    if (pathLength < depth || keyUsage?.has('keyCertSign') === false) return false;
    return isSignedBy(subject, issuer);
  }
}

/** Returns the certificate thumbprint that tokens are bound to, `x5t#S256` (RFC 8705, 3.1). */
export function certificateHash({ fingerprint256 }: X509Certificate): string {
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function isValidAt(extensions: CertificateExtensions | undefined, now: Date): boolean {
  return extensions !== undefined && extensions.notBefore <= now && now <= extensions.notAfter;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    const { publicKey } = issuer;
    return isBoundedPublicKey(publicKey.asymmetricKeyDetails) && certificate.verify(publicKey);
  } catch {
    return false; // the key has another type than the signature
  }
}
