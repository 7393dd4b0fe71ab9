// A fake Signet in memory with discovery, keys and `/api/validate`. It can be unavailable, rotates
// keys and counts requests.
import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export const ISSUER = 'https://id.example.com';
export const AUDIENCE = 'https://api.example.com';

export interface Key {
  kid: string;
  privateKey: CryptoKey;
  jwk: JWK;
}

export async function openIssuer(issuer = ISSUER) {
  let keys = [await makeKey()];
  let time = Date.now();
  /** The number of requests by path. */
  const requests: Record<string, number> = {};
  /** The responses of `/api/validate` by credential. */
  const responses = new Map<string, object>();
  const validated: { authorization: string | null; body: Record<string, unknown> }[] = [];
  const state = {
    isUnavailable: false,
    /** The issuer in the discovery document. */
    discovered: issuer,
    /** Delays responses until it resolves. */
    delay: Promise.resolve(),
  };

  return {
    requests,
    responses,
    validated,
    state,
    fetch: respond as typeof fetch,
    now: () => time,
    wait,
    rotate,
    token,
  };

  function wait(seconds: number): void {
    time += seconds * 1000;
  }

  /** Signs with a new key. The old ones stay published unless they are withdrawn. */
  async function rotate({ withdraw = false } = {}): Promise<void> {
    keys = [await makeKey(), ...(withdraw ? [] : keys)];
  }

  async function token(
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key = keys[0]!,
  ): Promise<string> {
    const iat = Math.floor(time / 1000);
    const all = {
      iss: issuer,
      aud: AUDIENCE,
      sub: 'user-1',
      client_id: 'app-1',
      scope: 'ticket:read',
      jti: randomUUID(),
      iat,
      exp: iat + 3600,
      ...claims,
    };
    return new SignJWT(all)
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: key.kid, ...header })
      .sign(key.privateKey);
  }

  async function respond(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const { pathname } = new URL(String(input));
    requests[pathname] = (requests[pathname] ?? 0) + 1;
    await state.delay;
    if (state.isUnavailable) throw new TypeError('fetch failed');
    if (pathname === '/.well-known/openid-configuration') {
      return Response.json({ issuer: state.discovered, jwks_uri: `${issuer}/oauth/jwks` });
    }
    if (pathname === '/oauth/jwks') return Response.json({ keys: keys.map(({ jwk }) => jwk) });
    if (pathname === '/api/validate') return validate(init);
    return Response.json({ error: 'not_found' }, { status: 404 });
  }

  function validate(init: RequestInit): Response {
    const authorization = new Headers(init.headers).get('authorization');
    validated.push({ authorization, body: JSON.parse(String(init.body)) });
    const response = responses.get(authorization?.split(' ')[1] ?? '');
    return response
      ? Response.json({ valid: true, ...response })
      : Response.json({ valid: false, error: 'Invalid token' }, { status: 401 });
  }
}

async function makeKey(): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const kid = randomUUID();
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
}
