/**
 * Workload identity (SPIFFE): whose certificate it is, by the authorities of its trust domain,
 * where there is node:crypto (Node, Bun, Deno, workerd with `nodejs_compat`). Pure: where the
 * bundles of those authorities come from, and who may do what, is for whoever asks.
 */
import { X509Certificate } from 'node:crypto';
import type { JWK } from 'jose';
import { fromBase64 } from './bytes.js';
import { leadsToAuthority, traitsOf } from './certificate.js';
import { mayAuthenticateClients } from './certificate-traits.js';
import { jwtAuthoritiesOf } from './jwt-svid.js';
import { invalidSvid as invalid, parseSpiffeId, type SpiffeId, type SvidVerdict } from './spiffe-id.js';

export { verifyJwtSvid } from './jwt-svid.js';
export { parseSpiffeId, type SpiffeId, type SvidVerdict } from './spiffe-id.js';

/** Who may sign for the workloads of one trust domain. */
export interface SpiffeBundle {
  x509Authorities: X509Certificate[];
  jwtAuthorities: JWK[];
}

/** The bundle of a trust domain, or undefined where it is not trusted. */
export type SpiffeBundles = (trustDomain: string) => SpiffeBundle | undefined;

/**
 * A bundle in the SPIFFE format, a JWK set. Throws a sentence when it is none, or holds nothing to
 * trust.
 */
export function parseSpiffeBundle(text: string): SpiffeBundle {
  const { keys } = JSON.parse(text) as { keys?: (JWK & { use?: string })[] };
  if (!Array.isArray(keys)) throw new Error('it is no JWK set: "keys" is missing');
  const certificates = keys.filter(({ use }) => use === 'x509-svid').map(({ x5c = [] }) => x5c);
  const x509Authorities = certificates.map(([der = '']) => new X509Certificate(fromBase64(der)));
  const jwtAuthorities = jwtAuthoritiesOf(keys);
  if (x509Authorities.length + jwtAuthorities.length === 0)
    throw new Error('it holds no key with use x509-svid or jwt-svid');
  return { x509Authorities, jwtAuthorities };
}

/**
 * The SPIFFE ID that a certificate names, before anything of it is believed; undefined where it
 * names none, or more than one.
 */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId | undefined {
  const uris = traitsOf(certificate)?.uris ?? [];
  return uris.length === 1 ? parseSpiffeId(uris[0]!) : undefined;
}

/**
 * Whose certificate it is (X509-SVID, 5). The chain begins with it. That its key is held by whoever
 * showed it, TLS must have proven.
 */
export function verifyX509Svid(chain: X509Certificate[], bundles: SpiffeBundles, now = new Date()): SvidVerdict {
  const [certificate] = chain;
  const traits = certificate && traitsOf(certificate);
  if (!traits) return invalid('the certificate cannot be read, or has extensions that are not understood');
  const spiffeId = spiffeIdOf(certificate);
  if (!spiffeId) return invalid('the certificate must have one URI among its names, a SPIFFE ID');
  if (spiffeId.path === '') return invalid('this SPIFFE ID is that of a trust domain, not of a workload');
  const { isAuthority, keyUsage } = traits;
  if (isAuthority || keyUsage?.has('keyCertSign') || keyUsage?.has('cRLSign'))
    return invalid('the certificate is that of an authority, not of a workload');
  if (keyUsage?.has('digitalSignature') === false || !mayAuthenticateClients(traits))
    return invalid('the certificate is not meant to prove who its holder is');
  const bundle = bundles(spiffeId.trustDomain);
  if (!bundle) return invalid('the trust domain is not trusted here');
  if (!leadsToAuthority(chain, bundle.x509Authorities, now))
    return invalid('no authority of its trust domain stands behind the certificate, or not now');
  return { kind: 'valid', spiffeId, expiresAt: traits.notAfter };
}
