/**
 * Signed tokens of our own: each kind has its `typ` and its audience, and is never taken for
 * another (RFC 8725, 3.11).
 */
import { errors, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { type Clock, epochSeconds } from '../../base/clock.js';
import type { KeySet, Keys } from './keys.js';

const ALGORITHM = 'ES256';

/** What makes one kind of token different from every other. */
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
  let imported: { version: string; keys: Map<string, Promise<ImportedKey>> } = { version: '', keys: new Map() };

  return { sign, verify };

  /** Signs claims with the key that signs now, from now until `expiresAt`. */
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
   * Says what is wrong with a token only as far as its holder may know: that its time is over.
   * Without an audience any will do, for whoever tells others about tokens that are meant for them;
   * of several, one will do.
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
    const found = keys.set().keys.find((key) => key.kid === kid && key.algorithm === ALGORITHM);
    if (!found) throw new errors.JWKSNoMatchingKey();
    const { d: _private, ...jwk } = found.jwk;
    return importOnce(`${found.kid} public`, { ...jwk, alg: ALGORITHM });
  }

  /** Importing a key costs more than a signature. */
  function importOnce(name: string, jwk: KeySet['keys'][number]['jwk']): Promise<ImportedKey> {
    const { version } = keys.set();
    if (imported.version !== version) imported = { version, keys: new Map() };
    let key = imported.keys.get(name);
    if (!key) {
      key = importJWK(jwk, ALGORITHM);
      imported.keys.set(name, key);
    }
    return key;
  }
}
