/**
 * Tokens of workloads (JWT-SVID): whose one is, by the keys of its trust domain. Pure, and on any
 * runtime.
 */
import { createLocalJWKSet, decodeJwt, type JWK, jwtVerify } from 'jose';
import { invalidSvid, parseSpiffeId, type SvidVerdict } from './spiffe-id.js';

/**
 * The keys that sign tokens for the workloads of a trust domain, or undefined where it is not
 * trusted.
 */
export type JwtBundles = (trustDomain: string) => { jwtAuthorities: JWK[] } | undefined;

const MAX_TOKEN_LENGTH = 8192;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

/** Of a bundle in the SPIFFE format those keys that sign tokens. */
export function jwtAuthoritiesOf(keys: (JWK & { use?: string })[]): JWK[] {
  // Symmetric keys sign for nobody in particular. What is left of `use` would keep jose from using
  // the key.
  return keys
    .filter(({ use, kty, kid }) => use === 'jwt-svid' && kty !== 'oct' && kid)
    .map(({ use: _use, ...key }) => key as JWK);
}

/**
 * Whose token it is (JWT-SVID, 4 and 5). `audience`: who we are; the token must be for one of
 * these.
 */
export async function verifyJwtSvid(
  token: string,
  bundles: JwtBundles,
  { audience, now = new Date() }: { audience: string[]; now?: Date },
): Promise<SvidVerdict> {
  if (token.length > MAX_TOKEN_LENGTH) return invalidSvid('the token is too long');
  try {
    const { sub } = decodeJwt(token);
    const spiffeId = typeof sub === 'string' ? parseSpiffeId(sub) : undefined;
    if (!spiffeId || spiffeId.path === '') return invalidSvid('its subject is no SPIFFE ID of a workload');
    const bundle = bundles(spiffeId.trustDomain);
    if (!bundle) return invalidSvid('the trust domain is not trusted here');
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: bundle.jwtAuthorities }), {
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub', 'aud'],
      currentDate: now,
    });
    const { typ = 'JWT', kid } = protectedHeader;
    if (!/^(JWT|JOSE)$/.test(typ) || !kid) return invalidSvid('its header is not that of a JWT-SVID');
    return { kind: 'valid', spiffeId, expiresAt: new Date(payload.exp! * 1000) };
  } catch {
    return invalidSvid('it is not signed by an authority of its trust domain, for us, and for now');
  }
}
