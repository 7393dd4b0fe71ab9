// Credentials that try to cost a server much: RSA keys of all sizes, tokens with large contents,
// long certificate chains. Signatures are forged, because verifying a wrong one costs the same.
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  randomBytes,
  randomUUID,
} from 'node:crypto';
import { asHeader, type Holder, issue, KEY_USE } from './workloads.js';

export interface PublicKey {
  jwk: JsonWebKey;
  bits: number;
}

/** The exponent of the usual RSA key has 17 bits. */
const USUAL_EXPONENT = Buffer.from([1, 0, 1]);
const CHAIN_LENGTH = 5;

/** Makes an RSA public key. Its modulus is random, so there is no private key. */
export function rsaKey(bits: number, exponentBits = 17): PublicKey {
  const modulus = randomBytes(bits / 8);
  modulus[0] = 255;
  modulus[modulus.length - 1]! |= 1;
  const exponent = exponentBits === 17 ? USUAL_EXPONENT : randomBytes(exponentBits / 8);
  exponent[0]! &= 127; // less than the modulus
  exponent[exponent.length - 1]! |= 1;
  return { bits, jwk: { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') } };
}

/**
 * Keys of all sizes with small and large exponents. OpenSSL accepts exponents of more than 64 bits
 * up to a modulus of 3072 bits only.
 */
export const RSA_KEYS = [
  ...[2048, 4096, 8192, 16_384].map((bits) => rsaKey(bits)),
  ...[2048, 3072, 8192].map((bits) => rsaKey(bits, 64)),
  ...[2048, 3072].map((bits) => rsaKey(bits, bits)),
];

/** Makes an RSA key pair whose exponent has 512 bits. Node.js generates short ones only. */
export function costlyKeyPair() {
  const { p, q, n } = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const [prime1, prime2] = [toNumber(p), toNumber(q)];
  const order = (prime1 - 1n) * (prime2 - 1n);
  let exponent = toNumber(rsaKey(2048, 512).jwk.e);
  while (inverse(exponent, order) === undefined) exponent += 2n;
  const d = inverse(exponent, order)!;
  const numbers = { e: exponent, d, dp: d % (prime1 - 1n), dq: d % (prime2 - 1n), qi: inverse(prime2, prime1)! };
  const members = Object.entries(numbers).map(([name, number]) => [name, toBase64url(number)]);
  const privateKey = createPrivateKey({ format: 'jwk', key: { kty: 'RSA', n, p, q, ...Object.fromEntries(members) } });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Makes a JWT whose signature has the length of the key's. */
export function forgedToken(header: object, claims: object, { bits }: PublicKey): string {
  const signature = randomBytes(bits / 8);
  signature[0] = 0; // less than the modulus
  return `${encode(header)}.${encode(claims)}.${signature.toString('base64url')}`;
}

/** Makes a DPoP proof (RFC 9449) that contains the key. */
export function forgedProof(key: PublicKey, htm: string, htu: string): string {
  const header = { typ: 'dpop+jwt', alg: 'RS256', jwk: key.jwk };
  return forgedToken(header, { htm, htu, jti: randomUUID(), iat: epochSeconds() }, key);
}

/** Makes a client assertion (RFC 7523). `more` replaces claims. */
export function forgedAssertion(
  key: PublicKey,
  { id, kid, issuer }: { id: string; kid: string; issuer: string },
  more: object = {},
): string {
  const now = epochSeconds();
  const claims = { iss: id, sub: id, aud: issuer, jti: randomUUID(), iat: now, exp: now + 60, ...more };
  return forgedToken({ alg: 'RS256', kid }, claims, key);
}

/** Makes a certificate chain for a header. Each other certificate could have issued the first. */
export function forgedChain(key: PublicKey): string {
  const signature = Buffer.alloc(key.bits / 8);
  const leaf = issue(AUTHORITY, { rsaSignature: signature });
  const publicKey = createPublicKey({ key: key.jwk, format: 'jwk' });
  const others = Array.from({ length: CHAIN_LENGTH - 1 }, () =>
    issue(AUTHORITY, {
      commonName: 'Authority',
      isAuthority: true,
      keyUsage: [KEY_USE.keyCertSign],
      key: { privateKey: AUTHORITY.privateKey, publicKey },
      rsaSignature: signature,
    }),
  );
  return asHeader(leaf, ...others);
}

/** Makes certificates for a header with as many names or numbers as fit. */
export const largeCertificates = () =>
  [
    { uris: Array<string>(3500).fill('a') },
    { extendedKeyUsage: Array<string>(2500).fill('2b06') },
    { extendedKeyUsage: [`2b${'06'.repeat(10_000)}`] },
  ].map((request) => issue(AUTHORITY, request).certificate.raw.toString('base64'));

const AUTHORITY: Holder = issue(undefined, {
  commonName: 'Authority',
  key: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
});

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const epochSeconds = () => Math.floor(Date.now() / 1000);

const toNumber = (base64url = '') => BigInt(`0x${Buffer.from(base64url, 'base64url').toString('hex')}`);

function toBase64url(number: bigint): string {
  const digits = number.toString(16);
  return Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex').toString('base64url');
}

/** Returns the inverse of a number by the extended Euclidean algorithm; undefined if none. */
function inverse(number: bigint, modulus: bigint): bigint | undefined {
  let [previous, current] = [modulus, number % modulus];
  let [previousFactor, factor] = [0n, 1n];
  while (current !== 0n) {
    const quotient = previous / current;
    [previous, current] = [current, previous - quotient * current];
    [previousFactor, factor] = [factor, previousFactor - quotient * factor];
  }
  return previous === 1n ? ((previousFactor % modulus) + modulus) % modulus : undefined;
}
