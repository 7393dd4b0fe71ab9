/**
 * Tokens of trusted external issuers. They only identify an account: roles in them are ignored, and
 * they never create an account. Each issuer has its own keys, audience and algorithms.
 */
import { decodeJwt, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Clock, epochSeconds } from '../../base/clock.js';
import type { TrustedIssuer } from '../../base/config/trusted-issuers.js';
import type { JsonClient } from '../../base/http-client.js';
import type { Log } from '../../base/log.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Identities } from '../identities/identities.js';
import { createIssuerKeys } from './issuer-keys.js';
import type { ExternalPrincipal } from './principal.js';
import type { Confirmation } from './proof-of-possession.js';

interface Deps {
  issuers: TrustedIssuer[];
  requestJson: JsonClient;
  clock: Clock;
  log: Log;
  accounts: Pick<Accounts, 'find' | 'isActive'>;
  identities: Pick<Identities, 'find'>;
}

interface KnownIssuer extends TrustedIssuer {
  findKey: JWTVerifyGetKey;
}

/** Accepts plain JWTs and access tokens (RFC 9068), but not logout tokens, proofs or events. */
const TYP = /^(application\/)?(at\+)?jwt$/i;
/** The tolerated difference between the clocks of the issuer and this server. */
const CLOCK_SKEW_SECONDS = 10;

export type ExternalTokens = ReturnType<typeof createExternalTokenVerifier>;

export function createExternalTokenVerifier({ issuers, requestJson, clock, log, accounts, identities }: Deps) {
  const trusted = new Map(
    issuers.map((issuer): [string, KnownIssuer] => {
      const { key } = issuer;
      const findKey = key ? () => key : createIssuerKeys({ issuer: issuer.issuer, requestJson, clock, log });
      return [issuer.issuer, { ...issuer, findKey }];
    }),
  );

  return { issuerOf, verify };

  /** Returns the trusted issuer that a token claims, before the token is verified. */
  function issuerOf(token: string): KnownIssuer | undefined {
    if (trusted.size === 0) return undefined;
    try {
      return trusted.get(String(decodeJwt(token).iss));
    } catch {
      return undefined;
    }
  }

  /**
   * Returns the principal of a token of this issuer. Throws `upstream_unavailable` while the keys
   * of the issuer are unknown.
   */
  async function verify(token: string, from: KnownIssuer): Promise<ExternalPrincipal | 'expired' | undefined> {
    const { issuer, audience, algorithms, findKey } = from;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, findKey, {
        issuer,
        audience,
        algorithms,
        currentDate: clock.now(),
        clockTolerance: CLOCK_SKEW_SECONDS, // for nbf; the caller checks exp again, without tolerance
        requiredClaims: ['sub', 'exp'],
      });
      const { sub, exp = 0, iat, cnf } = payload;
      if (typeof sub !== 'string' || !TYP.test(protectedHeader.typ ?? 'JWT')) return undefined;
      if (iat !== undefined && iat > epochSeconds(clock.now()) + CLOCK_SKEW_SECONDS) return undefined;
      if (cnf !== undefined && !isConfirmation(cnf)) return undefined;
      const account = await accountOf(sub, from);
      if (!accounts.isActive(account) || isTooOld(iat, account)) return undefined;
      return { kind: 'external', account, issuer, expiresAt: new Date(exp * 1000), boundTo: cnf };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return 'expired';
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  async function accountOf(subject: string, { issuer, subCanBeAccountId }: KnownIssuer): Promise<Account | undefined> {
    const linked = await identities.find({ issuer, subject });
    if (linked || !subCanBeAccountId || !UUID.test(subject)) return linked;
    return accounts.find(subject);
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Reports whether `cnf` is valid. A token with a malformed `cnf` must not count as unbound. */
function isConfirmation(cnf: unknown): cnf is Confirmation {
  return typeof cnf === 'object' && cnf !== null && Object.keys(cnf).length > 0;
}

/** Reports whether the token was issued before `notBefore`. Without `iat`, it counts as older. */
function isTooOld(iat: unknown, { notBefore }: Account): boolean {
  if (!notBefore) return false;
  return typeof iat !== 'number' || iat * 1000 < notBefore.getTime();
}
