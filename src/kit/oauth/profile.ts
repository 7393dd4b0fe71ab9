/** From a code to the profile of a person, at their provider. */
import { createRemoteJWKSet, customFetch, jwtVerify } from 'jose';
import { readText } from '../bytes.js';
import type { Flow } from './flow.js';
import type { OAuthProfile, OAuthProvider } from './providers.js';

interface Exchange {
  provider: OAuthProvider;
  flow: Flow;
  code: string;
  redirectUri: string;
  ask: typeof fetch;
}

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 65_536;

/** The provider does not answer as it should. Nothing of what it said is in the message. */
export class ProviderFailed extends Error {
  override readonly name = 'ProviderFailed';
}

/** The code is none, or was used already: whoever brought it is at fault, not the provider. */
export class CodeRefused extends Error {
  override readonly name = 'CodeRefused';
}

export async function readProfile(exchange: Exchange): Promise<OAuthProfile> {
  const { provider, ask } = exchange;
  const { access_token: accessToken, id_token: idToken } = await redeem(exchange);
  if (provider.openId) return verifyIdToken(String(idToken), exchange);
  if (!provider.readProfile) throw new ProviderFailed(`${provider.name} has no profile to read`);
  const headers = {
    authorization: `Bearer ${String(accessToken)}`,
    accept: 'application/json',
    'user-agent': 'signet-kit',
  };
  try {
    const profile = await provider.readProfile((url) => requestJson(ask, url, { headers }));
    if (profile.id && profile.id !== 'undefined') return profile;
    throw new Error('it gives no id');
  } catch (cause) {
    throw new ProviderFailed(`${provider.name} does not say who it is`, { cause });
  }
}

/** RFC 6749, 4.1.3, with PKCE. */
async function redeem({ provider, flow, code, redirectUri, ask }: Exchange): Promise<Record<string, unknown>> {
  const tokens = (await requestJson(
    ask,
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
    [200, 400], // GitHub answers 200 to a wrong code as well
  )) as Record<string, unknown>;
  if (tokens.error === 'invalid_grant' || tokens.error === 'bad_verification_code') throw new CodeRefused();
  if (typeof tokens.access_token !== 'string') throw new ProviderFailed(`${provider.name} gives no token`);
  return tokens;
}

/** OpenID Connect Core, 3.1.3.7. */
async function verifyIdToken(idToken: string, { provider, flow, ask }: Exchange): Promise<OAuthProfile> {
  const { issuers, jwksUri } = provider.openId!;
  try {
    const keys = createRemoteJWKSet(new URL(jwksUri), {
      [customFetch]: (url: string, init: RequestInit) => request(ask, url, init),
    });
    const { payload } = await jwtVerify(idToken, keys, {
      issuer: issuers,
      audience: provider.clientId,
      algorithms: ['RS256', 'ES256'],
      requiredClaims: ['sub', 'exp', 'iat', 'nonce'],
    });
    if (payload.nonce !== flow.nonce) throw new Error('another nonce');
    const {
      sub,
      email,
      email_verified: verified,
      name,
      picture,
    } = payload as Record<string, string | boolean | undefined>;
    const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
    return {
      id: String(sub),
      email: text(email),
      emailVerified: verified === true,
      name: text(name),
      picture: text(picture),
    };
  } catch (cause) {
    throw new ProviderFailed(`The ID token of ${provider.name} is not one for this sign-in`, { cause });
  }
}

async function requestJson(ask: typeof fetch, url: string, init: RequestInit, good = [200]): Promise<object> {
  try {
    const response = await request(ask, url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body: unknown = good.includes(response.status) ? await response.json() : undefined;
    if (typeof body === 'object' && body !== null) return body;
    throw new Error(`it answers ${response.status}, or no JSON`);
  } catch (cause) {
    throw new ProviderFailed(`${new URL(url).host} does not answer as it should`, { cause });
  }
}

/**
 * What a provider answers is read to its end, or to where it is longer than any that says
 * something.
 */
async function request(ask: typeof fetch, url: string, init: RequestInit): Promise<Response> {
  const { body, status, headers } = await ask(url, init);
  const text = await readText(body, MAX_ANSWER_BYTES);
  if (text === undefined) throw new Error('its answer is too long');
  return new Response(text || null, { status, headers });
}
