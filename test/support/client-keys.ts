// JWTs that a client signs: DPoP proofs (RFC 9449) and client assertions (RFC 7523).
import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { requestToken, type TestClient, type TokenResponse } from './relying-party.js';

export interface ClientKey {
  privateKey: CryptoKey;
  publicJwk: JWK;
  thumbprint: string;
}

export async function makeKey(): Promise<ClientKey> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  return { privateKey, publicJwk, thumbprint: await calculateJwkThumbprint(publicJwk) };
}

export interface Proof {
  htm: string;
  htu: string;
  nonce?: string;
  jti?: string;
  /** The access token that the proof accompanies (`ath`). */
  accessToken?: string;
}

export async function dpop(
  { privateKey, publicJwk }: ClientKey,
  { htm, htu, nonce, jti, accessToken }: Proof,
): Promise<string> {
  const ath = accessToken && createHash('sha256').update(accessToken).digest('base64url');
  return new SignJWT({ htm, htu, jti: jti ?? randomUUID(), ...(nonce && { nonce }), ...(ath && { ath }) })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: publicJwk })
    .setIssuedAt()
    .sign(privateKey);
}

/** Posts to the token endpoint with a proof. Repeats it with a nonce if the server requires one. */
export async function tokenWithProof(
  server: { origin: string; issuer: string },
  client: TestClient,
  key: ClientKey,
  params: Record<string, string>,
  path = '/api/v1/oauth/token',
): Promise<TokenResponse> {
  const proof = { htm: 'POST', htu: `${server.issuer}${path}` };
  const first = await requestToken(server, client, params, { path, headers: { dpop: await dpop(key, proof) } });
  if (first.body.error !== 'use_dpop_nonce') return first;
  const nonce = first.headers['dpop-nonce'] ?? '';
  return requestToken(server, client, params, { path, headers: { dpop: await dpop(key, { ...proof, nonce }) } });
}

/** Returns the parameters that authenticate a client by private_key_jwt. */
export async function assertion(
  { privateKey }: ClientKey,
  clientId: string,
  audience: string,
  jti: string = randomUUID(),
): Promise<Record<string, string>> {
  const jwt = await new SignJWT({ jti })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer(clientId)
    .setSubject(clientId)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(privateKey);
  return {
    client_id: clientId,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: jwt,
  };
}
