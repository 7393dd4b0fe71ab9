/**
 * `signet/kit/spiffe`: verifies the certificates and tokens of workloads (SPIFFE). Needs
 * node:crypto (Node, Bun, Deno, workerd with `nodejs_compat`). The caller provides the trust
 * bundles, and decides what a workload is authorized to do.
 */
import { X509Certificate } from 'node:crypto';
import type { JWK } from 'jose';
import { fromBase64 } from './bytes.js';
import { chainsToAuthority, extensionsOf } from './certificate.js';
import { allowsClientAuthentication } from './certificate-extensions.js';
import { jwtAuthoritiesOf } from './jwt-svid.js';
import { invalidSvid as invalid, parseSpiffeId, type SpiffeId, type SvidVerdict } from './spiffe-id.js';

export { verifyJwtSvid } from './jwt-svid.js';
export { parseSpiffeId, type SpiffeId, type SvidVerdict } from './spiffe-id.js';

/** The authorities that sign for the workloads of one trust domain. */
export interface SpiffeBundle {
  x509Authorities: X509Certificate[];
  jwtAuthorities: JWK[];
}

/** Returns the bundle of a trust domain, or undefined if the domain is not trusted. */
export type FindSpiffeBundle = (trustDomain: string) => SpiffeBundle | undefined;

/** Parses a bundle in the SPIFFE format, a JWK set. Throws an Error if it contains no authority. */
export function parseSpiffeBundle(text: string): SpiffeBundle {
  const { keys } = JSON.parse(text) as { keys?: (JWK & { use?: string })[] };
  if (!Array.isArray(keys)) throw new Error('The bundle is not a JWK set: "keys" is missing');
  const certificates = keys.filter(({ use }) => use === 'x509-svid').map(({ x5c = [] }) => x5c);
  const x509Authorities = certificates.map(([der = '']) => new X509Certificate(fromBase64(der)));
  const jwtAuthorities = jwtAuthoritiesOf(keys);
  if (x509Authorities.length + jwtAuthorities.length === 0)
    throw new Error('The bundle has no key with use x509-svid or jwt-svid');
  return { x509Authorities, jwtAuthorities };
}

/**
 * Returns the SPIFFE ID in a certificate, without verifying the certificate. Returns undefined if
 * it has no SPIFFE ID, or more than one URI.
 */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId | undefined {
  const uris = extensionsOf(certificate)?.uris ?? [];
  return uris.length === 1 ? parseSpiffeId(uris[0]!) : undefined;
}

/**
 * Verifies the certificate chain of a workload (X509-SVID specification, section 5), which starts
 * with the certificate of the workload. TLS must already have verified that the client holds its
 * private key.
 */
export function verifyX509Svid(chain: X509Certificate[], findBundle: FindSpiffeBundle, now = new Date()): SvidVerdict {
  const [certificate] = chain;
  const extensions = certificate && extensionsOf(certificate);
  if (!extensions) return invalid('the certificate is malformed, or has an unknown critical extension');
  const spiffeId = spiffeIdOf(certificate);
  if (!spiffeId) return invalid('the certificate must have exactly one URI, a SPIFFE ID');
  if (spiffeId.path === '') return invalid('the SPIFFE ID identifies a trust domain, not a workload');
  const { isAuthority, keyUsage } = extensions;
  if (isAuthority || keyUsage?.has('keyCertSign') || keyUsage?.has('cRLSign'))
    return invalid('the certificate belongs to a certificate authority');
  if (keyUsage?.has('digitalSignature') === false || !allowsClientAuthentication(extensions))
    return invalid('the certificate does not allow client authentication');
  const bundle = findBundle(spiffeId.trustDomain);
  if (!bundle) return invalid('the trust domain is not trusted');
  if (!chainsToAuthority(chain, bundle.x509Authorities, now))
    return invalid('the certificate has expired, or has no valid chain to an authority of its trust domain');
  return { kind: 'valid', spiffeId, expiresAt: extensions.notAfter };
}
