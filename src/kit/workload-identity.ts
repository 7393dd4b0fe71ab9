/**
 * Authenticates workloads (SPIFFE) on any runtime: by a client certificate that a proxy verified
 * and passes on, or by a token, which is verified here. A service that terminates TLS itself
 * verifies certificate chains with `signet/kit/spiffe`.
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
  /** Other trust domains whose workloads are accepted. */
  trustedDomains?: string[];
  /** The header in which the proxy passes on the client certificate. Default: `X-Client-Cert`. */
  certHeader?: string;
  /**
   * Whether a request comes from the proxy that terminates TLS. The proxy must verify the
   * certificate chain, and remove the header from requests that it receives. Default: false, since
   * any client can send the header.
   */
  fromTrustedPeer?: boolean | ((request: RequestLike) => boolean);
  /** The bundle of each trust domain in the SPIFFE format, to verify tokens. */
  bundles?: Record<string, { keys: object[] }>;
  /** Returns the permissions of a workload. Default: none. */
  permissionsOf?: (spiffeId: string) => string[] | Promise<string[]>;
  now?: () => number;
}

const MAX_HEADER_LENGTH = 16_384;

/** Creates a verifier. Throws if a bundle is malformed. */
export function createWorkloadVerifier(options: WorkloadIdentityOptions) {
  const { trustDomain, trustedDomains = [], certHeader = 'X-Client-Cert', bundles = {}, now = Date.now } = options;
  const domains = new Set([trustDomain, ...trustedDomains]);
  const authorities = new Map(Object.entries(bundles).map(([domain, { keys }]) => [domain, toAuthorities(keys)]));

  return { fromRequest, verifyToken };

  /**
   * Returns the workload whose certificate a trusted proxy passed on. Returns null without one, and
   * for a certificate that is not valid now or belongs to another trust domain.
   */
  function fromRequest(request: RequestLike): SpiffeId | null {
    const { fromTrustedPeer = false } = options;
    if (!(typeof fromTrustedPeer === 'function' ? fromTrustedPeer(request) : fromTrustedPeer)) return null;
    const header = request.headers.get(certHeader);
    const extensions = header ? parseHeader(header) : undefined;
    const id = extensions && isWorkload(extensions) ? parseSpiffeId(extensions.uris[0]!) : undefined;
    return id?.path && domains.has(id.trustDomain) ? id : null;
  }

  /** Returns the workload that a token was issued to, or null if it is invalid for the audience. */
  async function verifyToken(token: string, audience: string | string[]): Promise<SpiffeId | null> {
    if (typeof token !== 'string') return null;
    const bundleOf = (domain: string) => (domains.has(domain) ? authorities.get(domain) : undefined);
    const verdict = await verifyJwtSvid(token, bundleOf, { audience: [audience].flat(), now: new Date(now()) });
    return verdict.kind === 'valid' ? verdict.spiffeId : null;
  }

  /**
   * Reports whether a certificate is valid now, and can be one of a workload (X509-SVID, 2 and 4).
   */
  function isWorkload(extensions: CertificateExtensions): boolean {
    const { uris, isAuthority, keyUsage, notBefore, notAfter } = extensions;
    const isValidNow = notBefore.getTime() <= now() && now() <= notAfter.getTime();
    return (
      uris.length === 1 &&
      !isAuthority &&
      keyUsage?.has('digitalSignature') !== false &&
      allowsClientAuthentication(extensions) &&
      !keyUsage?.has('keyCertSign') &&
      !keyUsage?.has('cRLSign') &&
      isValidNow
    );
  }
}

const toAuthorities = (keys: object[]) => ({ jwtAuthorities: jwtAuthoritiesOf(keys as JWK[]) });

/**
 * Parses a certificate header: PEM (also percent-encoded or without line breaks), or Base64 as in
 * RFC 9440. Returns undefined for anything else.
 */
function parseHeader(header: string): CertificateExtensions | undefined {
  if (header.length > MAX_HEADER_LENGTH) return undefined;
  try {
    const text = header.includes('%') ? decodeURIComponent(header) : header;
    const base64 = text.replace(/-----(BEGIN|END) CERTIFICATE-----|\s|^:|:$/g, '');
    return parseCertificateExtensions(fromBase64(base64));
  } catch {
    return undefined; // invalid percent-encoding or Base64
  }
}
