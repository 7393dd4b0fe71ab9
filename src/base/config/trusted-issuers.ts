/**
 * Issuers elsewhere whose tokens are accepted as credentials, as the settings name them. Which
 * algorithm a token may be signed with is said here, by the kind of the key; a token has no say in
 * it.
 */
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { isSecureUrl } from '../loopback.js';
import { failedRules, type Rule } from './rules.js';

export interface TrustedIssuer {
  /** As its tokens say `iss`. */
  issuer: string;
  /** Undefined where any will do. */
  audience: string | undefined;
  algorithms: string[];
  /**
   * Checks its signatures. Without one, the keys are those that its discovery document leads to.
   */
  key: KeyObject | undefined;
  /** Whether a `sub` that nobody is linked to may be the id of an account. */
  namesAccounts: boolean;
}

export interface TrustedIssuerSettings {
  JWT_SECRET: string;
  JWT_PUBLIC_KEY: string;
  JWT_ISSUER: string;
  JWT_AUDIENCE: string;
  OIDC_ISSUER: string;
  OIDC_AUDIENCE: string;
}

const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;
const ANY = '*';

/** Never throws: what cannot be used is told by `trustedIssuerErrors`. */
export function trustedIssuersFrom(settings: TrustedIssuerSettings): TrustedIssuer[] {
  const { JWT_SECRET, JWT_PUBLIC_KEY, JWT_ISSUER, JWT_AUDIENCE, OIDC_ISSUER, OIDC_AUDIENCE } = settings;
  const issuers: TrustedIssuer[] = [];
  const key = JWT_SECRET
    ? { key: createSecretKey(JWT_SECRET, 'utf8'), algorithms: ['HS256'] }
    : JWT_PUBLIC_KEY && readPublicKey(JWT_PUBLIC_KEY);
  if (key) {
    const audience = JWT_AUDIENCE === ANY ? undefined : JWT_AUDIENCE;
    issuers.push({ issuer: JWT_ISSUER, audience, ...key, namesAccounts: true });
  }
  if (OIDC_ISSUER) {
    const found = { algorithms: ['RS256', 'ES256'], key: undefined };
    issuers.push({ issuer: OIDC_ISSUER, audience: OIDC_AUDIENCE, ...found, namesAccounts: false });
  }
  return issuers;
}

/** What is wrong with these settings, a sentence each. */
export function trustedIssuerErrors(
  settings: TrustedIssuerSettings,
  own: { issuer: string; secret: string | undefined },
): string[] {
  const { JWT_SECRET, JWT_PUBLIC_KEY, JWT_ISSUER, JWT_AUDIENCE, OIDC_ISSUER, OIDC_AUDIENCE } = settings;
  const hasKey = Boolean(JWT_SECRET || JWT_PUBLIC_KEY);
  const rules: Rule[] = [
    [Boolean(JWT_SECRET && JWT_PUBLIC_KEY), 'JWT_SECRET and JWT_PUBLIC_KEY are both set; set the one that signs'],
    [
      JWT_SECRET !== '' && Buffer.byteLength(JWT_SECRET) < MIN_SECRET_BYTES,
      `JWT_SECRET has fewer than ${MIN_SECRET_BYTES} bytes; make one with: openssl rand -base64 32`,
    ],
    [JWT_SECRET !== '' && JWT_SECRET === own.secret, 'JWT_SECRET is the same as SECRET, which nobody else may know'],
    [
      JWT_PUBLIC_KEY !== '' && !readPublicKey(JWT_PUBLIC_KEY),
      'JWT_PUBLIC_KEY is no public key that can be used; allowed: PEM ("-----BEGIN PUBLIC KEY-----"), RSA with at least 2048 bits or EC on P-256',
    ],
    [hasKey && !JWT_ISSUER, 'JWT_ISSUER is missing: say whose tokens they are, as their `iss` has it'],
    [hasKey && !JWT_AUDIENCE, 'JWT_AUDIENCE is missing: say whom the tokens are for, or * if any will do'],
    [
      !hasKey && Boolean(JWT_ISSUER || JWT_AUDIENCE),
      'JWT_ISSUER and JWT_AUDIENCE say nothing without JWT_SECRET or JWT_PUBLIC_KEY',
    ],
    [hasKey && isSame(JWT_ISSUER, own.issuer), 'JWT_ISSUER is our own ISSUER; allowed: the issuer of somebody else'],
    [
      OIDC_ISSUER !== '' && !isIssuerUrl(OIDC_ISSUER),
      'OIDC_ISSUER is no issuer; allowed: https://… as its discovery document has it, or http:// on this machine',
    ],
    [
      OIDC_ISSUER !== '' && (OIDC_AUDIENCE === '' || OIDC_AUDIENCE === ANY),
      'OIDC_AUDIENCE is missing: say whom the tokens are for; an issuer has tokens for others too',
    ],
    [OIDC_ISSUER === '' && OIDC_AUDIENCE !== '', 'OIDC_AUDIENCE says nothing without OIDC_ISSUER'],
    [
      OIDC_ISSUER !== '' && isSame(OIDC_ISSUER, own.issuer),
      'OIDC_ISSUER is our own ISSUER; allowed: the issuer of somebody else',
    ],
    [
      OIDC_ISSUER !== '' && hasKey && isSame(OIDC_ISSUER, JWT_ISSUER),
      'OIDC_ISSUER and JWT_ISSUER are the same; set the keys of an issuer once',
    ],
  ];
  return failedRules(rules);
}

/** A public key and the one algorithm for it. A private key is refused: it has no business here. */
function readPublicKey(text: string): { key: KeyObject; algorithms: string[] } | undefined {
  const pem = text.replaceAll('\\n', '\n'); // as many consoles have it
  if (!/^-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem)) return undefined;
  try {
    const key = createPublicKey(pem);
    const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
    if (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) return { key, algorithms: ['RS256'] };
    if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return { key, algorithms: ['ES256'] };
    return undefined;
  } catch {
    return undefined;
  }
}

/** Two ways to write one issuer. */
const isSame = (a: string, b: string) => plain(a) === plain(b);
const plain = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');

function isIssuerUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isSecureUrl(url) && url.search === '' && url.hash === '' && url.username === '';
}
