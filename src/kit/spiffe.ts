/**
 * Workload identity (SPIFFE): whose a certificate or a signed token of a workload is, by the authorities of its trust domain. Pure: where
 * the bundles of those authorities come from, and who may do what, is for whoever asks.
 */
import { X509Certificate } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, type JWK, jwtVerify } from 'jose';
import { leadsToAuthority, mayAuthenticateClients, traitsOf } from './certificate.js';

export interface SpiffeId {
  /** All of it: `spiffe://example.org/ns/shop/sa/api`. */
  id: string;
  trustDomain: string;
  /** Begins with a slash; empty for the trust domain itself. */
  path: string;
}

/** Who may sign for the workloads of one trust domain. */
export interface SpiffeBundle {
  x509Authorities: X509Certificate[];
  jwtAuthorities: JWK[];
}

/** The bundle of a trust domain, or undefined where it is not trusted. */
export type SpiffeBundles = (trustDomain: string) => SpiffeBundle | undefined;

export type SvidVerdict = { kind: 'valid'; spiffeId: SpiffeId; expiresAt: Date } | { kind: 'invalid'; reason: string };

const MAX_ID_LENGTH = 2048;
const MAX_DOMAIN_LENGTH = 255;
const MAX_TOKEN_LENGTH = 8192;
const ID = /^spiffe:\/\/([a-z0-9._-]+)((?:\/[a-zA-Z0-9._-]+)*)$/;
const DOTS = /\/\.{1,2}(?=\/|$)/;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

/** Undefined for what is none, to the letter: nothing is decoded, lower-cased or cut off. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const [id, trustDomain, path] = text.length <= MAX_ID_LENGTH ? (ID.exec(text) ?? []) : [];
  if (id === undefined || trustDomain!.length > MAX_DOMAIN_LENGTH || DOTS.test(path!)) return undefined;
  return { id, trustDomain: trustDomain!, path: path! };
}

/** A bundle in the SPIFFE format, a JWK set. Throws a sentence when it is none, or holds nothing to trust. */
export function parseSpiffeBundle(text: string): SpiffeBundle {
  const { keys } = JSON.parse(text) as { keys?: (JWK & { use?: string })[] };
  if (!Array.isArray(keys)) throw new Error('it is no JWK set: "keys" is missing');
  const certificates = keys.filter(({ use }) => use === 'x509-svid').map(({ x5c = [] }) => x5c);
  const x509Authorities = certificates.map(([der = '']) => new X509Certificate(Buffer.from(der, 'base64')));
  // Symmetric keys sign for nobody in particular. What is left of `use` would keep jose from using the key.
  const jwtAuthorities = keys
    .filter(({ use, kty, kid }) => use === 'jwt-svid' && kty !== 'oct' && kid)
    .map(({ use: _use, ...key }) => key as JWK);
  if (x509Authorities.length + jwtAuthorities.length === 0)
    throw new Error('it holds no key with use x509-svid or jwt-svid');
  return { x509Authorities, jwtAuthorities };
}

/** The SPIFFE ID that a certificate names, before anything of it is believed; undefined where it names none, or more than one. */
export function spiffeIdOf(certificate: X509Certificate): SpiffeId | undefined {
  const uris = traitsOf(certificate)?.uris ?? [];
  return uris.length === 1 ? parseSpiffeId(uris[0]!) : undefined;
}

/** Whose certificate it is (X509-SVID, 5). The chain begins with it. That its key is held by whoever showed it, TLS must have proven. */
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
  if (keyUsage?.has('digitalSignature') === false || !mayAuthenticateClients(certificate))
    return invalid('the certificate is not meant to prove who its holder is');
  const bundle = bundles(spiffeId.trustDomain);
  if (!bundle) return invalid('the trust domain is not trusted here');
  if (!leadsToAuthority(chain, bundle.x509Authorities, now))
    return invalid('no authority of its trust domain stands behind the certificate, or not now');
  return { kind: 'valid', spiffeId, expiresAt: new Date(certificate.validTo) };
}

/** Whose token it is (JWT-SVID, 4 and 5). `audience`: who we are; the token must be for one of these. */
export async function verifyJwtSvid(
  token: string,
  bundles: SpiffeBundles,
  { audience, now = new Date() }: { audience: string[]; now?: Date },
): Promise<SvidVerdict> {
  if (token.length > MAX_TOKEN_LENGTH) return invalid('the token is too long');
  try {
    const { sub } = decodeJwt(token);
    const spiffeId = typeof sub === 'string' ? parseSpiffeId(sub) : undefined;
    if (!spiffeId || spiffeId.path === '') return invalid('its subject is no SPIFFE ID of a workload');
    const bundle = bundles(spiffeId.trustDomain);
    if (!bundle) return invalid('the trust domain is not trusted here');
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: bundle.jwtAuthorities }), {
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub', 'aud'],
      currentDate: now,
    });
    const { typ = 'JWT', kid } = protectedHeader;
    if (!/^(JWT|JOSE)$/.test(typ) || !kid) return invalid('its header is not that of a JWT-SVID');
    return { kind: 'valid', spiffeId, expiresAt: new Date(payload.exp! * 1000) };
  } catch {
    return invalid('it is not signed by an authority of its trust domain, for us, and for now');
  }
}

const invalid = (reason: string): SvidVerdict => ({ kind: 'invalid', reason });
