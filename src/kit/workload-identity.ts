/**
 * Workload identities (SPIFFE): an id like `spiffe://example.org/billing`, proved by a certificate that a proxy has checked, or by a JWT
 * that is checked here with the keys of its trust domain.
 */
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { isCompactJws, jsonObject } from './bytes.js';
import type { RequestLike } from './context.js';
import { certificateFrom, type LeafCertificate } from './x509.js';

export interface WorkloadIdentityOptions {
  trustDomain: string;
  /** Others whose workloads are known here. */
  trustedDomains?: string[];
  /** The header in which the proxy that ends TLS passes on the client's certificate. */
  certHeader?: string;
  /**
   * Whether a request comes from that proxy, which must drop this header from whatever it receives. Not set: the header is not believed,
   * since anybody can send one. The chain of the certificate is the proxy's to check.
   */
  fromTrustedPeer?: boolean | ((request: RequestLike) => boolean);
  /** The keys of each trust domain, for JWT-SVIDs. */
  bundles?: Record<string, { keys: object[] }>;
  /** What a workload may do. */
  permissionsOf?: (spiffeId: string) => string[] | Promise<string[]>;
  now?: () => number;
}

export interface SpiffeId {
  id: string;
  trustDomain: string;
  path: string;
}

const MAX_ID_LENGTH = 2048;
const ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[\w.-]+)*)$/;
const DOTS = /\/\.{1,2}(\/|$)/;
/** JWT-SVID, 2.1. */
const SVID_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

/** By the SPIFFE ID specification, 2; null for anything else. Never throws. */
export function parseSpiffeId(text: string): SpiffeId | null {
  if (typeof text !== 'string' || text.length > MAX_ID_LENGTH || DOTS.test(text)) return null;
  const [id, trustDomain, path = ''] = ID.exec(text) ?? [];
  return id && trustDomain ? { id, trustDomain, path } : null;
}

export function createSpiffeVerifier(options: WorkloadIdentityOptions) {
  const { trustDomain, trustedDomains = [], certHeader = 'X-Client-Cert', bundles = {}, now = Date.now } = options;
  const domains = new Set([trustDomain, ...trustedDomains]);
  const keys = new Map(
    Object.entries(bundles).map(([domain, bundle]) => [domain, createLocalJWKSet(svidKeys(bundle))]),
  );

  return { fromRequest, verifyJwtSvid };

  /** The workload whose certificate a trusted proxy passed on; null for none, one that does not count now, or one from elsewhere. */
  function fromRequest(request: RequestLike): SpiffeId | null {
    const { fromTrustedPeer = false } = options;
    if (!(typeof fromTrustedPeer === 'function' ? fromTrustedPeer(request) : fromTrustedPeer)) return null;
    const header = request.headers.get(certHeader);
    const certificate = header ? certificateFrom(header) : undefined;
    return certificate && isWorkloadLeaf(certificate) ? trusted(certificate.uris[0]!) : null;
  }

  /** A JWT-SVID for one of these audiences, signed by the keys of its own trust domain; null for anything else. */
  async function verifyJwtSvid(token: string, audience: string | string[]): Promise<SpiffeId | null> {
    if (typeof token !== 'string' || !isCompactJws(token)) return null;
    const said = trusted(String(jsonObject(token.split('.')[1]!)?.sub));
    const findKey = said && keys.get(said.trustDomain);
    if (!findKey) return null;
    try {
      const { protectedHeader } = await jwtVerify(token, findKey, {
        audience,
        algorithms: SVID_ALGORITHMS,
        requiredClaims: ['exp', 'sub', 'aud'],
        currentDate: new Date(now()),
      });
      return [undefined, 'JWT', 'JOSE'].includes(protectedHeader.typ) ? said : null;
    } catch {
      return null;
    }
  }

  function trusted(uri: string): SpiffeId | null {
    const id = parseSpiffeId(uri);
    return id && domains.has(id.trustDomain) ? id : null;
  }

  /** X509-SVID, 2 and 4: one URI, no authority, for signatures, and in its time. */
  function isWorkloadLeaf({ uris, isAuthority, mayOnlySign, notBefore, notAfter }: LeafCertificate): boolean {
    return (
      uris.length === 1 && !isAuthority && mayOnlySign && notBefore.getTime() <= now() && now() <= notAfter.getTime()
    );
  }
}

/** Of a bundle (SPIFFE Trust Domain and Bundle, 4.2.2) the keys for JWT-SVIDs, whose `use` is no use that JWTs have elsewhere. */
function svidKeys({ keys }: { keys: object[] }): JSONWebKeySet {
  const ours = keys.filter((key) => !('use' in key) || key.use === 'jwt-svid');
  return { keys: ours.map((key) => ({ ...key, use: undefined })) } as unknown as JSONWebKeySet;
}
