/** Generates signing keys, encrypts them for storage and decrypts them. */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import type { Secrets } from '../../base/crypto.js';
import type { Prisma, SigningKey as SigningKeyRow } from '../../base/db/open.js';

export const SIGNING_ALGORITHMS = ['ES256', 'RS256'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A private key with the times of its rotation. */
export interface SigningKey {
  kid: string;
  algorithm: SigningAlgorithm;
  jwk: JWK;
  signsFrom: Date;
  retiredAt: Date | null;
  expiresAt: Date | null;
}

const PURPOSE = 'signing-keys';
const RSA_BITS = 2048;

/** Generates a key and returns its row, with the private part encrypted. */
export async function makeSigningKey(algorithm: SigningAlgorithm, secrets: Secrets) {
  const { privateKey } = await generateKeyPair(algorithm, { modulusLength: RSA_BITS, extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  const privateJwk = { ...jwk, kid, alg: algorithm, use: 'sig' };
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...publicJwk } = privateJwk;
  return {
    kid,
    algorithm,
    publicJwk: publicJwk as Prisma.InputJsonObject,
    encryptedPrivateJwk: await secrets.seal(PURPOSE, JSON.stringify(privateJwk)),
  };
}

/** Returns a stored key with its private part decrypted. */
export async function openSigningKey(row: SigningKeyRow, secrets: Secrets): Promise<SigningKey> {
  return {
    kid: row.kid,
    algorithm: row.algorithm as SigningAlgorithm,
    jwk: JSON.parse(await secrets.open(PURPOSE, row.encryptedPrivateJwk)) as JWK,
    signsFrom: row.signsFrom,
    retiredAt: row.retiredAt,
    expiresAt: row.expiresAt,
  };
}
