/**
 * Certificates of clients (RFC 5280): whether an authority stands behind one, on Node. Signatures and names are compared by node:crypto;
 * what a certificate says of itself is read in `certificate-traits.ts`.
 */
import type { X509Certificate } from 'node:crypto';
import { type CertificateTraits, readTraits } from './certificate-traits.js';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USE = '2.5.29.37.0';

/** Undefined for what cannot be read, or has a critical extension that is not understood here. */
export function traitsOf({ raw }: X509Certificate): CertificateTraits | undefined {
  return readTraits(raw);
}

/** Whether it may be shown by a client: nothing is said about its use, or this one is named. */
export function mayAuthenticateClients({ keyUsage }: X509Certificate): boolean {
  const uses: readonly string[] | undefined = keyUsage; // what Node calls so are the extended ones
  return !uses || uses.length === 0 || uses.includes(CLIENT_AUTH) || uses.includes(ANY_USE);
}

/** Whether a path leads from the first certificate, by way of the others, to one of the authorities, and all of it is of now. */
export function leadsToAuthority(
  [first, ...others]: X509Certificate[],
  authorities: readonly X509Certificate[],
  now = new Date(),
): boolean {
  if (!first || !isOfNow(first, now)) return false;
  return climb(first, others, 0);

  function climb(from: X509Certificate, between: X509Certificate[], passed: number): boolean {
    if (authorities.some((authority) => isIssuer(authority, from, passed))) return true;
    return between.some((next, n) => isIssuer(next, from, passed) && climb(next, between.toSpliced(n, 1), passed + 1));
  }

  function isIssuer(issuer: X509Certificate, of: X509Certificate, passed: number): boolean {
    if (!of.checkIssued(issuer) || !isOfNow(issuer, now)) return false;
    const { isAuthority, pathLength = Number.POSITIVE_INFINITY, keyUsage } = traitsOf(issuer) ?? {};
    if (!isAuthority || pathLength < passed || keyUsage?.has('keyCertSign') === false) return false;
    return isSignedBy(of, issuer);
  }
}

/** `x5t#S256` (RFC 8705, 3.1). */
export function certificateHash({ fingerprint256 }: X509Certificate): string {
  return Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url');
}

function isOfNow({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return new Date(validFrom) <= now && now <= new Date(validTo);
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key of another kind
  }
}
