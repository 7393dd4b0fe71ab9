/**
 * The authorization code flow with a provider elsewhere, once for all of them: where to send
 * somebody, and who came back. What the provider hands out is used to ask who that is, and thrown
 * away unless the keeper asked that it be kept.
 */
import type { Configuration, TokenEndpointResponse } from 'openid-client';
import { upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { HttpClient } from '../../base/http-client.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { clip } from '../../base/text.js';
import { type ExternalIdentity, isSubject } from '../identities/identities.js';
import type { GivenTokens } from '../identities/token-vault.js';
import { createProviderDiscovery } from './discovery.js';
import { type Client, isFailure, isNetworkError, isRefreshRefused, providerErrorOf, toAppError } from './errors.js';
import type { Claims, ExternalLogin, Provider } from './provider.js';

/** What only this browser's answer can fit to. */
export interface LoginState {
  redirectUri: string;
  state: string;
  verifier: string;
  nonce: string;
}

/** What a page of a provider is to do beyond what it does for everybody. */
export interface AuthorizationOptions {
  /** Ask for consent, also of whoever gave it before. */
  consent?: boolean | undefined;
}

/** A code that an app got by itself. */
export interface AuthorizationCode {
  code: string;
  redirectUri: string;
  codeVerifier?: string | undefined;
}

interface Deps {
  server: HttpClient;
  ask: JsonClient;
  clock: Clock;
  log: Log;
}

/** Of a token that is said to live longer nobody knows when it ends. */
const LONGEST_LIFE_SECONDS = 10 * 365 * DAY_SECONDS;
/** RFC 6749, A.12. What does not fit in a header, a library would repeat in its complaint. */
const ACCESS_TOKEN = /^[\x20-\x7e]+$/;

type Tokens = Awaited<ReturnType<typeof import('openid-client').authorizationCodeGrant>>;

export type Exchange = ReturnType<typeof createExchange>;

export function createExchange({ server, ask, clock, log }: Deps) {
  const { configurationOf, renewalConfigurationOf } = createProviderDiscovery({ server, clock });

  return { authorizationUrl, handleCallback, exchangeCode, renew, revoke };

  /**
   * Where the person says yes. Refuses with `upstream_unavailable` or `upstream_invalid_response`.
   */
  async function authorizationUrl(
    provider: Provider,
    { redirectUri, state, verifier, nonce }: LoginState,
    { consent }: AuthorizationOptions = {},
  ): Promise<string> {
    return withErrorMapping(provider, async (client) => {
      const url = client.buildAuthorizationUrl(await configurationOf(provider), {
        redirect_uri: redirectUri,
        scope: provider.scope,
        state,
        ...(usesPkce(provider) && {
          code_challenge: await client.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
        }),
        ...(usesNonce(provider) && { nonce }),
        ...(provider.storesTokens && provider.askOffline),
        ...(consent && { prompt: 'consent' }),
      });
      return url.href;
    });
  }

  /**
   * Who came back with this answer. Refuses with `access_denied` when they said no, with
   * `invalid_credentials` when the code is not taken, with `upstream_unavailable` and with
   * `upstream_invalid_response`: also when it is another issuer's answer.
   */
  async function handleCallback(provider: Provider, query: string, binding: LoginState): Promise<ExternalLogin> {
    return withCodeErrors(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.authorizationCodeGrant(configuration, new URL(`${binding.redirectUri}?${query}`), {
        expectedState: binding.state,
        ...(usesPkce(provider) && { pkceCodeVerifier: binding.verifier }),
        ...(usesNonce(provider) && { expectedNonce: binding.nonce }),
        idTokenExpected: !provider.endpoints,
      });
      return toExternalLogin(provider, configuration, tokens, provider.scope);
    });
  }

  /** The same for a code that an app got, whose state and nonce were the app's affair. */
  async function exchangeCode(
    provider: Provider,
    { code, redirectUri, codeVerifier }: AuthorizationCode,
  ): Promise<ExternalLogin> {
    return withCodeErrors(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.genericGrantRequest(configuration, 'authorization_code', {
        code,
        redirect_uri: redirectUri,
        ...(codeVerifier && { code_verifier: codeVerifier }),
      });
      return toExternalLogin(provider, configuration, tokens as Tokens);
    });
  }

  /**
   * Spends a refresh token of this person. `refused` when the provider takes it no more; refuses
   * with `upstream_unavailable`, when it may be tried again, and with `upstream_invalid_response`.
   */
  async function renew(
    provider: Provider,
    { subject }: ExternalIdentity,
    refreshToken: string,
  ): Promise<GivenTokens | 'refused'> {
    return withErrorMapping(provider, async (client) => {
      try {
        const tokens = await client.refreshTokenGrant(await renewalConfigurationOf(provider), refreshToken);
        const claims = tokens.claims();
        // Whoever it was given for then (OpenID Connect Core, 12.2).
        if (claims && claims.sub !== subject) throw upstreamInvalid('it gives tokens of somebody else');
        return tokensIn(provider, tokens);
      } catch (error) {
        if (isRefreshRefused(error)) return 'refused';
        throw error;
      }
    });
  }

  /** Asks the provider to forget a token (RFC 7009). False when it has no place to ask. */
  async function revoke(provider: Provider, token: string): Promise<boolean> {
    return withErrorMapping(provider, async (client) => {
      const configuration = await configurationOf(provider);
      if (!configuration.serverMetadata().revocation_endpoint) return false;
      await client.tokenRevocation(configuration, token);
      return true;
    });
  }

  function tokensIn({ listsByComma }: Provider, tokens: TokenEndpointResponse): GivenTokens {
    const { access_token: accessToken, refresh_token: refreshToken, token_type: tokenType, expires_in: life } = tokens;
    if (!ACCESS_TOKEN.test(accessToken)) throw upstreamInvalid('its access token is none');
    return {
      accessToken,
      refreshToken: refreshToken || undefined,
      tokenType,
      scope: listsByComma ? tokens.scope?.replaceAll(',', ' ') : tokens.scope,
      expiresAt: life !== undefined && life < LONGEST_LIFE_SECONDS ? addSeconds(clock.now(), life) : undefined,
    };
  }

  /** @param asked the scope that it means where its answer is silent (RFC 6749, 5.1) */
  async function toExternalLogin(
    provider: Provider,
    configuration: Configuration,
    tokens: Tokens,
    asked?: string,
  ): Promise<ExternalLogin> {
    const claims = tokens.claims() as Claims | undefined;
    if (!provider.endpoints && !claims) throw upstreamInvalid('it gives no ID token');
    // Whatever else it is for, it was made for us (OpenID Connect Core, 3.1.3.7).
    if (claims?.azp !== undefined && claims.azp !== provider.clientId)
      throw upstreamInvalid('its ID token was given to somebody else');
    const given = tokensIn(provider, tokens);
    const { accessToken: token } = given;
    const profile = await provider.readProfile({
      claims: claims ?? {},
      async userInfo() {
        if (!configuration.serverMetadata().userinfo_endpoint) return {};
        const { fetchUserInfo } = await import('openid-client');
        return fetchUserInfo(configuration, token, String(claims?.sub));
      },
      get: (url) => get(url, token),
    });
    if (!isSubject(profile.subject)) throw upstreamInvalid('it does not say who that is');
    const { id, name, issuer, storesTokens } = provider;
    const tokensToKeep = storesTokens ? { ...given, scope: given.scope ?? asked } : undefined;
    return { ...profile, issuer, provider: { id, name }, tokensToKeep };
  }

  async function get(url: string, token: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'Signet' };
    const { status, body } = await ask(url, { headers });
    if (status === 200) return body;
    if (status === 403 || status === 404) return undefined;
    throw isFailure(status) ? upstreamUnavailable(`it fails (${status})`) : upstreamInvalid(`it answers ${status}`);
  }

  /** What goes wrong may be the code of whoever came. */
  function withCodeErrors<Answer>(provider: Provider, speak: (client: Client) => Promise<Answer>): Promise<Answer> {
    return withErrorMapping(provider, speak, true);
  }

  /** Says in our words what goes wrong, and leaves what only the keeper can mend in the log. */
  async function withErrorMapping<Answer>(
    provider: Provider,
    speak: (client: Client) => Promise<Answer>,
    spendsCode = false,
  ): Promise<Answer> {
    const client = await import('openid-client');
    try {
      return await speak(client);
    } catch (error) {
      const refusal = toAppError(error, provider, client, spendsCode);
      const facts = { provider: provider.id, said: clip(providerErrorOf(error) ?? '', 100) };
      if (refusal.status < 500) log.info(facts, 'a provider elsewhere says no');
      else log.warn({ ...facts, error: isNetworkError(error, client) }, 'a provider elsewhere cannot be used');
      throw refusal;
    }
  }
}

const usesPkce = ({ lacks }: Provider) => !lacks?.includes('pkce');
const usesNonce = ({ endpoints, lacks }: Provider) => !endpoints && !lacks?.includes('nonce');
