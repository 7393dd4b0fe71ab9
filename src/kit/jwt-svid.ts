/** Verifies the tokens of workloads (JWT-SVID) with the keys of their trust domain. */
import { createLocalJWKSet, decodeJwt, type JWK, jwtVerify } from 'jose';
import { invalidSvid, parseSpiffeId, type SvidVerdict } from './spiffe-id.js';

/** Returns the token-signing keys of a trust domain, or undefined if it is not trusted. */
export type FindJwtBundle = (trustDomain: string) => { jwtAuthorities: JWK[] } | undefined;

const MAX_TOKEN_LENGTH = 8192;
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

/** Returns the token-signing keys among the keys of a bundle in the SPIFFE format. */
export function jwtAuthoritiesOf(keys: (JWK & { use?: string })[]): JWK[] {
  // Symmetric keys are not allowed. `use` is removed, because jose only verifies with `sig` keys.
  return keys
    .filter(({ use, kty, kid }) => use === 'jwt-svid' && kty !== 'oct' && kid)
    .map(({ use: _use, ...key }) => key as JWK);
}

/** Verifies a token (JWT-SVID, 4 and 5). It must be issued for one of the audiences. */
export async function verifyJwtSvid(
  token: string,
  findBundle: FindJwtBundle,
  { audience, now = new Date() }: { audience: string[]; now?: Date },
): Promise<SvidVerdict> {
  if (token.length > MAX_TOKEN_LENGTH) return invalidSvid('the token is too long');
  try {
    const { sub } = decodeJwt(token);
    const spiffeId = typeof sub === 'string' ? parseSpiffeId(sub) : undefined;
    if (!spiffeId || spiffeId.path === '') return invalidSvid('the subject is not the SPIFFE ID of a workload');
    const bundle = findBundle(spiffeId.trustDomain);
    if (!bundle) return invalidSvid('the trust domain is not trusted');
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: bundle.jwtAuthorities }), {
      audience,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp', 'sub', 'aud'],
      currentDate: now,
    });
    const { typ = 'JWT', kid } = protectedHeader;
    if (!/^(JWT|JOSE)$/.test(typ) || !kid) return invalidSvid('the header is not that of a JWT-SVID');
    return { kind: 'valid', spiffeId, expiresAt: new Date(payload.exp! * 1000) };
  } catch {
    return invalidSvid('the token has expired, is for another audience, or has no valid signature of its trust domain');
  }
}
