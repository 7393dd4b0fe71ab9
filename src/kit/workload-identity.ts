/**
 * Workloads (SPIFFE) that come to a service, by the certificate that its proxy has checked, or by a
 * token that is checked here with the keys of its trust domain. On any runtime; where TLS ends in
 * the service itself, `signet/kit/spiffe` checks the chain of a certificate.
 */
import type { JWK } from 'jose';
import { fromBase64 } from './bytes.js';
import {
  allowsClientAuthentication,
  type CertificateExtensions,
  parseCertificateExtensions,
} from './certificate-extensions.js';
import type { RequestLike } from './context.js';
import { jwtAuthoritiesOf, verifyJwtSvid } from './jwt-svid.js';
import { parseSpiffeId, type SpiffeId } from './spiffe-id.js';

export interface WorkloadIdentityOptions {
  trustDomain: string;
  /** Others whose workloads are known here. */
  trustedDomains?: string[];
  /** The header in which the proxy that ends TLS passes on the client's certificate. */
  certHeader?: string;
  /**
   * Whether a request comes from that proxy, which must drop this header from whatever it receives.
   * Not set: the header is not believed, since anybody can send one. The chain of the certificate
   * is the proxy's to check.
   */
  fromTrustedPeer?: boolean | ((request: RequestLike) => boolean);
  /** The bundle of each trust domain in the SPIFFE format, for tokens. */
  bundles?: Record<string, { keys: object[] }>;
  /** What a workload may do. */
  permissionsOf?: (spiffeId: string) => string[] | Promise<string[]>;
  now?: () => number;
}

const MAX_HEADER_LENGTH = 16_384;

export function createWorkloadVerifier(options: WorkloadIdentityOptions) {
  const { trustDomain, trustedDomains = [], certHeader = 'X-Client-Cert', bundles = {}, now = Date.now } = options;
  const domains = new Set([trustDomain, ...trustedDomains]);
  const authorities = new Map(Object.entries(bundles).map(([domain, { keys }]) => [domain, toAuthorities(keys)]));

  return { fromRequest, verifyToken };

  /**
   * The workload whose certificate a trusted proxy passed on; null for none, one that does not
   * count now, or one from elsewhere.
   */
  function fromRequest(request: RequestLike): SpiffeId | null {
    const { fromTrustedPeer = false } = options;
    if (!(typeof fromTrustedPeer === 'function' ? fromTrustedPeer(request) : fromTrustedPeer)) return null;
    const header = request.headers.get(certHeader);
    const traits = header ? readCertificate(header) : undefined;
    const id = traits && isWorkload(traits) ? parseSpiffeId(traits.uris[0]!) : undefined;
    return id?.path && domains.has(id.trustDomain) ? id : null;
  }

  /** Whose token it is (JWT-SVID), for one of these audiences; null for anything else. */
  async function verifyToken(token: string, audience: string | string[]): Promise<SpiffeId | null> {
    if (typeof token !== 'string') return null;
    const bundleOf = (domain: string) => (domains.has(domain) ? authorities.get(domain) : undefined);
    const verdict = await verifyJwtSvid(token, bundleOf, { audience: [audience].flat(), now: new Date(now()) });
    return verdict.kind === 'valid' ? verdict.spiffeId : null;
  }

  /** X509-SVID, 2 and 4: one URI, no authority, for signatures of clients, and in its time. */
  function isWorkload(traits: CertificateExtensions): boolean {
    const { uris, isAuthority, keyUsage, notBefore, notAfter } = traits;
    const isOfNow = notBefore.getTime() <= now() && now() <= notAfter.getTime();
    const maySign = keyUsage?.has('digitalSignature') !== false;
    return (
      uris.length === 1 &&
      !isAuthority &&
      maySign &&
      allowsClientAuthentication(traits) &&
      !keyUsage?.has('keyCertSign') &&
      !keyUsage?.has('cRLSign') &&
      isOfNow
    );
  }
}

const toAuthorities = (keys: object[]) => ({ jwtAuthorities: jwtAuthoritiesOf(keys as JWK[]) });

/**
 * From a header: PEM, also percent-encoded or with its line breaks lost, or the Base64 of RFC 9440.
 * Undefined for anything else.
 */
function readCertificate(header: string): CertificateExtensions | undefined {
  if (header.length > MAX_HEADER_LENGTH) return undefined;
  try {
    const text = header.includes('%') ? decodeURIComponent(header) : header;
    const base64 = text.replace(/-----(BEGIN|END) CERTIFICATE-----|\s|^:|:$/g, '');
    return parseCertificateExtensions(fromBase64(base64));
  } catch {
    return undefined; // neither percent-encoding nor Base64
  }
}
