/**
 * Certificates of clients (RFC 5280): whether an authority stands behind one, where there is
 * node:crypto, which compares signatures and names; what a certificate says of itself is read in
 * `certificate-traits.ts`.
 */
import type { X509Certificate } from 'node:crypto';
import { type CertificateTraits, readTraits } from './certificate-traits.js';

/** Undefined for what cannot be read, or has a critical extension that is not understood here. */
export function traitsOf({ raw }: X509Certificate): CertificateTraits | undefined {
  return readTraits(raw);
}

/**
 * Whether a path leads from the first certificate, by way of the others, to one of the authorities,
 * and all of it is of now.
 */
export function leadsToAuthority(
  [first, ...others]: X509Certificate[],
  authorities: readonly X509Certificate[],
  now = new Date(),
): boolean {
  // Step by step, each of them by the shortest way: strangers choose what stands here, and all ways
  // through them are endlessly many.
  let reached = first && isOfNow(traitsOf(first), now) ? [first] : [];
  let left = others;
  for (let passed = 0; reached.length > 0; passed += 1) {
    const isNext = (issuer: X509Certificate) => reached.some((from) => isIssuer(issuer, from, passed));
    if (authorities.some(isNext)) return true;
    const next = left.filter(isNext);
    left = left.filter((one) => !next.includes(one));
    reached = next;
  }
  return false;

  function isIssuer(issuer: X509Certificate, of: X509Certificate, passed: number): boolean {
    const traits = of.checkIssued(issuer) ? traitsOf(issuer) : undefined;
    const { isAuthority, pathLength = Number.POSITIVE_INFINITY, keyUsage } = traits ?? {};
    if (!isAuthority || !isOfNow(traits, now) || pathLength < passed || keyUsage?.has('keyCertSign') === false)
      return false;
    return isSignedBy(of, issuer);
  }
}

/** `x5t#S256` (RFC 8705, 3.1). */
export function certificateHash({ fingerprint256 }: X509Certificate): string {
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function isOfNow(traits: CertificateTraits | undefined, now: Date): boolean {
  return traits !== undefined && traits.notBefore <= now && now <= traits.notAfter;
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key of another kind
  }
}
