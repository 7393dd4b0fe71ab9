/**
 * Tokens of issuers elsewhere that the keeper trusts (bring your own auth). They say who somebody
 * is, and nothing else: what they claim of roles is not read, and nobody gets an account by one.
 * Each issuer has its keys, its audience and its algorithms.
 */
import { decodeJwt, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Clock, epochSeconds } from '../../base/clock.js';
import type { TrustedIssuer } from '../../base/config/trusted-issuers.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Identities } from '../identities/identities.js';
import { createIssuerKeys } from './issuer-keys.js';
import type { ExternalPrincipal } from './principal.js';
import type { Confirmation } from './proof-of-possession.js';

interface Deps {
  issuers: TrustedIssuer[];
  ask: JsonClient;
  clock: Clock;
  log: Log;
  accounts: Pick<Accounts, 'find' | 'isActive'>;
  identities: Pick<Identities, 'find'>;
}

interface KnownIssuer extends TrustedIssuer {
  findKey: JWTVerifyGetKey;
}

/**
 * Absent, plain, or that of an access token (RFC 9068). Whatever else has a `typ` is no credential:
 * logout tokens, proofs, events.
 */
const TYP = /^(application\/)?(at\+)?jwt$/i;
/** Clocks of two companies differ; an issuer's token may seem to be from the future. */
const SKEW_SECONDS = 10;

export type ExternalTokens = ReturnType<typeof createExternalTokens>;

export function createExternalTokens({ issuers, ask, clock, log, accounts, identities }: Deps) {
  const trusted = new Map(
    issuers.map((issuer): [string, KnownIssuer] => {
      const { key } = issuer;
      const findKey = key ? () => key : createIssuerKeys({ issuer: issuer.issuer, ask, clock, log });
      return [issuer.issuer, { ...issuer, findKey }];
    }),
  );

  return { issuerOf, verify };

  /** Which of the issuers elsewhere a token says it is from, before anything of it is believed. */
  function issuerOf(token: string): KnownIssuer | undefined {
    if (trusted.size === 0) return undefined;
    try {
      return trusted.get(String(decodeJwt(token).iss));
    } catch {
      return undefined;
    }
  }

  /**
   * The account that a token of this issuer stands for now. Refuses with `upstream_unavailable`
   * while its keys are not known.
   */
  async function verify(token: string, from: KnownIssuer): Promise<ExternalPrincipal | 'expired' | undefined> {
    const { issuer, audience, algorithms, findKey } = from;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, findKey, {
        issuer,
        audience,
        algorithms,
        currentDate: clock.now(),
        clockTolerance: SKEW_SECONDS, // for its beginning; its end is looked at once more, and exactly, by whoever uses it
        requiredClaims: ['sub', 'exp'],
      });
      const { sub, exp = 0, iat, cnf } = payload;
      if (typeof sub !== 'string' || !TYP.test(protectedHeader.typ ?? 'JWT')) return undefined;
      if (iat !== undefined && iat > epochSeconds(clock.now()) + SKEW_SECONDS) return undefined;
      if (cnf !== undefined && !isConfirmation(cnf)) return undefined;
      const account = await accountOf(sub, from);
      if (!accounts.isActive(account) || isTooOld(iat, account)) return undefined;
      return { kind: 'foreign', account, issuer, expiresAt: new Date(exp * 1000), boundTo: cnf };
    } catch (error) {
      if (error instanceof errors.JWTExpired) return 'expired';
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }

  async function accountOf(subject: string, { issuer, namesAccounts }: KnownIssuer): Promise<Account | undefined> {
    const linked = await identities.find({ issuer, subject });
    if (linked || !namesAccounts || !UUID.test(subject)) return linked;
    return accounts.find(subject);
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * A token that is bound to nothing that can be read is not taken for one that is bound to nothing.
 */
function isConfirmation(cnf: unknown): cnf is Confirmation {
  return typeof cnf === 'object' && cnf !== null && Object.keys(cnf).length > 0;
}

/** A token that does not say when it was made is older than any revocation. */
function isTooOld(iat: unknown, { notBefore }: Account): boolean {
  if (!notBefore) return false;
  return typeof iat !== 'number' || iat * 1000 < notBefore.getTime();
}
