/** Exchanges an authorization code for the user's profile at their provider. */
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';
import { readText } from '../bytes.js';
import type { Flow } from './flow.js';
import type { OAuthProfile, OAuthProvider } from './providers.js';

interface Exchange {
  provider: OAuthProvider;
  flow: Flow;
  code: string;
  redirectUri: string;
  request: typeof fetch;
}

const TIMEOUT_MS = 10_000;
const MAX_RESPONSE_BYTES = 65_536;

/** The provider did not respond as expected. The message contains nothing from the response. */
export class ProviderFailed extends Error {
  override readonly name = 'ProviderFailed';
}

/** The authorization code is invalid or was used before: the caller's fault, not the provider's. */
export class InvalidCode extends Error {
  override readonly name = 'InvalidCode';
}

/** Returns the profile of the user. Rejects with `InvalidCode` or `ProviderFailed`. */
export async function readProfile(exchange: Exchange): Promise<OAuthProfile> {
  const { provider, request } = exchange;
  const { access_token: accessToken, id_token: idToken } = await exchangeCode(exchange);
  if (provider.openId) return verifyIdToken(String(idToken), exchange);
  if (!provider.readProfile) throw new ProviderFailed(`${provider.name} has neither openId nor readProfile`);
  const headers = {
    authorization: `Bearer ${String(accessToken)}`,
    accept: 'application/json',
    'user-agent': 'signet-kit',
  };
  try {
    const profile = await provider.readProfile((url) => requestJson(request, url, { headers }));
    if (profile.id && profile.id !== 'undefined') return profile;
    throw new Error('The profile has no id');
  } catch (cause) {
    throw new ProviderFailed(`The profile at ${provider.name} cannot be read`, { cause });
  }
}

/** Requests tokens for the code (RFC 6749, 4.1.3), with PKCE. */
async function exchangeCode(exchange: Exchange): Promise<Record<string, unknown>> {
  const { provider, flow, code, redirectUri, request } = exchange;
  const tokens = (await requestJson(
    request,
    provider.tokenUrl,
    {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
        client_id: provider.clientId,
        client_secret: provider.clientSecret,
        code_verifier: flow.verifier,
      }),
    },
    [200, 400], // GitHub responds to an invalid code with 200
  )) as Record<string, unknown>;
  if (tokens.error === 'invalid_grant' || tokens.error === 'bad_verification_code') throw new InvalidCode();
  if (typeof tokens.access_token !== 'string') throw new ProviderFailed(`${provider.name} returned no access token`);
  return tokens;
}

/** Verifies an ID token (OpenID Connect Core, 3.1.3.7), and returns the profile it contains. */
async function verifyIdToken(idToken: string, { provider, flow, request }: Exchange): Promise<OAuthProfile> {
  const { issuers, jwksUri } = provider.openId!;
  try {
    const keys = createRemoteJWKSet(new URL(jwksUri), {
      [customFetch]: (url: string, init: RequestInit) => requestLimited(request, url, init),
    });
    const { payload } = await jwtVerify(idToken, keys, {
      issuer: issuers,
      audience: provider.clientId,
      algorithms: ['RS256', 'ES256'],
      requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
    });
    if (payload.nonce !== flow.nonce) throw new Error('The nonce does not match');
    const claims = payload as Record<string, unknown>;
    const stringOrUndefined = (value: unknown) => (typeof value === 'string' ? value : undefined);
    return {
      id: String(claims.sub),
      email: stringOrUndefined(claims.email),
      emailVerified: claims.email_verified === true,
      name: stringOrUndefined(claims.name),
      picture: stringOrUndefined(claims.picture),
    };
  } catch (cause) {
    throw new ProviderFailed(`The ID token of ${provider.name} is invalid`, { cause });
  }
}

async function requestJson(request: typeof fetch, url: string, init: RequestInit, expected = [200]): Promise<object> {
  try {
    const options: RequestInit = { ...init, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) };
    const response = await requestLimited(request, url, options);
    const body: unknown = expected.includes(response.status) ? await response.json() : undefined;
    if (typeof body === 'object' && body !== null) return body;
    throw new Error(`The response has status ${response.status} or is not JSON`);
  } catch (cause) {
    throw new ProviderFailed(`${new URL(url).host} did not respond as expected`, { cause });
  }
}

/** Sends a request, and rejects if the response is longer than `MAX_RESPONSE_BYTES`. */
async function requestLimited(request: typeof fetch, url: string, init: RequestInit): Promise<Response> {
  const { body, status, headers } = await request(url, init);
  const text = await readText(body, MAX_RESPONSE_BYTES);
  if (text === undefined) throw new Error('The response is too long');
  return new Response(text || null, { status, headers });
}
