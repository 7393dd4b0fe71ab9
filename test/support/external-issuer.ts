// An external issuer: keys, tokens and an optional discovery document.
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { openHttpServer } from './http-server.js';

export const AUDIENCE = 'https://api.example';

export interface SigningPair {
  algorithm: string;
  kid: string;
  privateKey: CryptoKey;
  publicJwk: JWK;
  pem: string;
}

export async function generateSigningPair(algorithm: 'RS256' | 'ES256', kid = 'key-1'): Promise<SigningPair> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const publicJwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { algorithm, kid, privateKey, publicJwk, pem: await exportSPKI(publicKey) };
}

export const epochSeconds = (secondsFromNow = 0) => Math.floor(Date.now() / 1000) + secondsFromNow;

/**
 * Signs a token for AUDIENCE that expires in five minutes. `claims` replace the defaults; undefined
 * removes a claim.
 */
export async function signToken(
  key: CryptoKey | Uint8Array,
  alg: string,
  claims: JWTPayload,
  header: Record<string, unknown> = {},
): Promise<string> {
  const payload = { aud: AUDIENCE, iat: epochSeconds(), exp: epochSeconds(300), ...claims };
  const present = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
  return new SignJWT(present).setProtectedHeader({ alg, typ: 'JWT', ...header }).sign(key);
}

/** Opens a server with a discovery document and a JWK Set. `documents` maps paths to bodies. */
export async function openIssuer(...pairs: SigningPair[]) {
  let keys: unknown[] = pairs.map(({ publicJwk }) => publicJwk);
  let reachable = true;
  const requestedPaths: string[] = [];
  const documents: Record<string, unknown> = {};
  const server = await openHttpServer((req, res) => {
    requestedPaths.push(req.url!);
    if (!reachable) return res.destroy();
    const document = documents[req.url!];
    res.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    return res.end(JSON.stringify(document ?? {}));
  });
  publish(keys);
  documents['/.well-known/openid-configuration'] = { issuer: server.origin, jwks_uri: `${server.origin}/keys` };
  return { issuer: server.origin, requestedPaths, documents, publish, setReachable, close: server.close };

  function publish(published: unknown[]): void {
    keys = published;
    documents['/keys'] = { keys };
  }

  function setReachable(is: boolean): void {
    reachable = is;
  }
}
