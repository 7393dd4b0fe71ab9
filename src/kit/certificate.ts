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
 *
 * Goes from the authorities down. A certificate that the client made up is neither parsed nor used
 * to verify a signature, so it costs nothing.
 */
export function chainsToAuthority(
  [leaf, ...others]: X509Certificate[],
  authorities: readonly X509Certificate[],
  now = new Date(),
): boolean {
  if (!leaf || !isValidAt(extensionsOf(leaf), now)) return false;
  /** The number of intermediate authorities that each trusted authority allows below it. */
  const allowedBelow = new Map<X509Certificate, number>();
  const pending = authorities.filter((authority) => trust(authority, Number.POSITIVE_INFINITY));
  for (let issuer = pending.shift(); issuer; issuer = pending.shift()) {
    const allowed = allowedBelow.get(issuer)!;
    if (isIssuedBy(leaf, issuer)) return true;
    if (allowed > 0) pending.push(...others.filter((other) => isIssuedBy(other, issuer) && trust(other, allowed - 1)));
  }
  return false;

  /** Trusts an authority if it can issue certificates, and reports whether it allows more below. */
  function trust(authority: X509Certificate, maxBelow: number): boolean {
    const { pathLength = Number.POSITIVE_INFINITY } = extensionsOf(authority) ?? {};
    const allowed = Math.min(maxBelow, pathLength);
    if (allowed <= (allowedBelow.get(authority) ?? -1) || !canIssue(authority, now)) return false;
    allowedBelow.set(authority, allowed);
    return true;
  }
}

/** Reports whether a certificate belongs to an authority for client certificates. */
function canIssue(authority: X509Certificate, now: Date): boolean {
  const extensions = extensionsOf(authority);
  if (!extensions?.isAuthority || !isValidAt(extensions, now)) return false;
  // The extended key usage of an authority limits the certificates below it (RFC 5280, 4.2.1.12).
  // Name constraints are not evaluated, so they are not accepted.
  if (!allowsClientAuthentication(extensions) || extensions.hasNameConstraints) return false;
  return extensions.keyUsage?.has('keyCertSign') !== false;
}

/** Returns the certificate thumbprint that tokens are bound to, `x5t#S256` (RFC 8705, 3.1). */
export function certificateHash({ fingerprint256 }: X509Certificate): string {
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function isValidAt(extensions: CertificateExtensions | undefined, now: Date): boolean {
  return extensions !== undefined && extensions.notBefore <= now && now <= extensions.notAfter;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  if (!certificate.checkIssued(issuer)) return false;
  try {
    const { publicKey } = issuer;
    return isBoundedPublicKey(publicKey.asymmetricKeyDetails) && certificate.verify(publicKey);
  } catch {
    return false; // the key has another type than the signature
  }
}
