/**
 * Signs and verifies our own JWTs. Each kind has its own `typ` and audience, so that one kind is
 * never accepted as another (RFC 8725, section 3.11).
 */
import { errors, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { type Clock, epochSeconds } from '../../base/clock.js';
import type { KeySet, Keys } from './keys.js';

const ALGORITHM = 'ES256';

/** The properties that distinguish one kind of token. */
export interface JwtKind {
  typ: string;
  audience: string;
}

export type VerifiedJwt = { kind: 'valid'; claims: JWTPayload } | { kind: 'expired' } | { kind: 'invalid' };

interface Deps {
  issuer: string;
  keys: Pick<Keys, 'set' | 'signer'>;
  clock: Clock;
}

type ImportedKey = Awaited<ReturnType<typeof importJWK>>;

export type Jwts = ReturnType<typeof createJwts>;

export function createJwts({ issuer, keys, clock }: Deps) {
  let importCache: { version: string; keys: Map<string, Promise<ImportedKey>> } = { version: '', keys: new Map() };

  return { sign, verify };

  /** Signs claims with the current key. The token is valid from now until `expiresAt`. */
  async function sign({ typ, audience }: JwtKind, claims: JWTPayload, expiresAt: Date): Promise<string> {
    const { kid, jwk } = keys.signer(ALGORITHM);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: ALGORITHM, typ, kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(epochSeconds(clock.now()))
      .setExpirationTime(epochSeconds(expiresAt))
      .sign(await importOnce(`${kid} private`, { ...jwk, alg: ALGORITHM }));
  }

  /**
   * Verifies a token of this kind for one of the audiences. Without `audience`, it accepts
   * any, as introspection requires. Expiry is the only reason that the result reveals.
   */
  async function verify(
    token: string,
    { typ, audience }: Pick<JwtKind, 'typ'> & { audience?: string | string[] },
  ): Promise<VerifiedJwt> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => publicKey(kid), {
        issuer,
        ...(audience && { audience }),
        typ,
        algorithms: [ALGORITHM],
        currentDate: clock.now(),
        requiredClaims: ['exp', 'iat', 'sub', 'jti'],
      });
      return { kind: 'valid', claims: payload };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return { kind: 'expired' };
      if (error instanceof errors.JOSEError) return { kind: 'invalid' };
      throw error;
    }
  }

  async function publicKey(kid: string | undefined): Promise<ImportedKey> {
    const signingKey = keys.set().keys.find((key) => key.kid === kid && key.algorithm === ALGORITHM);
    if (!signingKey) throw new errors.JWKSNoMatchingKey();
    const { d: _private, ...jwk } = signingKey.jwk;
    return importOnce(`${signingKey.kid} public`, { ...jwk, alg: ALGORITHM });
  }

  /** Returns the imported key, cached: importing costs more than signing. */
  function importOnce(cacheKey: string, jwk: KeySet['keys'][number]['jwk']): Promise<ImportedKey> {
    const { version } = keys.set();
    if (importCache.version !== version) importCache = { version, keys: new Map() };
    let key = importCache.keys.get(cacheKey);
    if (!key) {
      key = importJWK(jwk, ALGORITHM);
      importCache.keys.set(cacheKey, key);
    }
    return key;
  }
}
