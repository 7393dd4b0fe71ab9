/**
 * Settings of external issuers whose tokens are accepted as credentials. The allowed algorithms
 * come from the configuration, never from the token.
 */
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { isSecureUrl } from '../../kit/loopback.js';
import { defineTopic } from './base-config.js';
import { optional, secret } from './setting.js';

export interface TrustedIssuer {
  /** The expected `iss`. */
  issuer: string;
  /** The expected `aud`. Undefined: any. */
  audience: string | undefined;
  algorithms: string[];
  /** The key that verifies signatures. Undefined: the keys come from the discovery document. */
  key: KeyObject | undefined;
  /** Whether the `sub` can be an account id if no linked identity matches it. */
  subCanBeAccountId: boolean;
}

const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;
const ANY_AUDIENCE = '*';

export const trustedIssuers = defineTopic({
  title: 'Tokens of external issuers',
  settings: {
    jwtSecret: secret(
      'JWT_SECRET',
      'HS256 secret (not SECRET, the master secret of this server) of another system whose tokens are accepted, at least 32 bytes. Requires JWT_ISSUER and JWT_AUDIENCE.',
    ),
    jwtPublicKey: optional(
      'JWT_PUBLIC_KEY',
      'Public key (PEM, with \\n for line breaks) of another system whose tokens are accepted: RSA for RS256, or P-256 for ES256. Requires JWT_ISSUER and JWT_AUDIENCE.',
    ),
    jwtIssuer: optional('JWT_ISSUER', 'The `iss` of the tokens that JWT_SECRET or JWT_PUBLIC_KEY verifies.'),
    jwtAudience: optional('JWT_AUDIENCE', 'The `aud` of these tokens. *: any.'),
    oidcIssuer: optional(
      'OIDC_ISSUER',
      'OpenID provider whose tokens are accepted. Its keys come from its discovery document. Requires OIDC_AUDIENCE.',
    ),
    oidcAudience: optional('OIDC_AUDIENCE', 'The `aud` of the tokens of OIDC_ISSUER.'),
  },
  resolve({ jwtSecret, jwtPublicKey, jwtIssuer, jwtAudience, oidcIssuer, oidcAudience }): {
    trustedIssuers: TrustedIssuer[];
  } {
    const issuers: TrustedIssuer[] = [];
    const key = jwtSecret
      ? { key: createSecretKey(jwtSecret, 'utf8'), algorithms: ['HS256'] }
      : jwtPublicKey && readPublicKey(jwtPublicKey);
    if (key) {
      const audience = jwtAudience === ANY_AUDIENCE ? undefined : (jwtAudience ?? '');
      issuers.push({ issuer: jwtIssuer ?? '', audience, ...key, subCanBeAccountId: true });
    }
    if (oidcIssuer) {
      issuers.push({
        issuer: oidcIssuer,
        audience: oidcAudience ?? '',
        algorithms: ['RS256', 'ES256'],
        key: undefined,
        subCanBeAccountId: false,
      });
    }
    return { trustedIssuers: issuers };
  },
  check({ jwtSecret, jwtPublicKey, jwtIssuer, jwtAudience, oidcIssuer, oidcAudience }, config) {
    const hasKey = Boolean(jwtSecret || jwtPublicKey);
    return [
      jwtSecret && jwtPublicKey && 'JWT_SECRET and JWT_PUBLIC_KEY are both set; set the one that verifies the tokens',
      jwtSecret &&
        Buffer.byteLength(jwtSecret) < MIN_SECRET_BYTES &&
        `JWT_SECRET has fewer than ${MIN_SECRET_BYTES} bytes; generate one with: openssl rand -base64 32`,
      jwtSecret &&
        jwtSecret === config.secret &&
        'JWT_SECRET is the same as SECRET, which must not be shared with other systems',
      jwtPublicKey &&
        !readPublicKey(jwtPublicKey) &&
        'JWT_PUBLIC_KEY is not a supported public key; allowed: PEM ("-----BEGIN PUBLIC KEY-----"), RSA with at least 2048 bits or EC on P-256',
      hasKey && !jwtIssuer && 'JWT_ISSUER is missing: set it to the `iss` of the tokens',
      hasKey && !jwtAudience && 'JWT_AUDIENCE is missing: set it to the `aud` of the tokens, or to * for any',
      !hasKey &&
        (jwtIssuer || jwtAudience) &&
        'JWT_ISSUER and JWT_AUDIENCE have no effect without JWT_SECRET or JWT_PUBLIC_KEY',
      hasKey &&
        jwtIssuer &&
        isSameIssuer(jwtIssuer, config.issuer) &&
        'JWT_ISSUER is our own ISSUER; allowed: another issuer',
      oidcIssuer &&
        !isIssuerUrl(oidcIssuer) &&
        'OIDC_ISSUER is not a valid issuer URL; allowed: https://… as in its discovery document, or http:// on a loopback address',
      oidcIssuer && !oidcAudience && 'OIDC_AUDIENCE is missing: set it to the `aud` of tokens for this server',
      oidcIssuer &&
        oidcAudience === ANY_AUDIENCE &&
        'OIDC_AUDIENCE must not be *, which would accept tokens for other apps',
      !oidcIssuer && oidcAudience && 'OIDC_AUDIENCE has no effect without OIDC_ISSUER',
      oidcIssuer && isSameIssuer(oidcIssuer, config.issuer) && 'OIDC_ISSUER is our own ISSUER; allowed: another issuer',
      oidcIssuer &&
        hasKey &&
        jwtIssuer &&
        isSameIssuer(oidcIssuer, jwtIssuer) &&
        'OIDC_ISSUER and JWT_ISSUER are the same; configure an issuer only once',
    ];
  },
});

/**
 * Returns a public key and its only algorithm, or undefined if the text is not a supported public
 * key. A private key is rejected, because it does not belong on this server.
 */
function readPublicKey(text: string): { key: KeyObject; algorithms: string[] } | undefined {
  const pem = text.replaceAll('\\n', '\n'); // many web consoles store a line break as \n
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

/** Compares issuers without regard to a trailing slash. */
const isSameIssuer = (a: string, b: string) => normalizeIssuer(a) === normalizeIssuer(b);
const normalizeIssuer = (issuer: string) => (URL.parse(issuer)?.href ?? issuer).replace(/\/+$/, '');

function isIssuerUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && isSecureUrl(url) && url.search === '' && url.hash === '' && url.username === '';
}
