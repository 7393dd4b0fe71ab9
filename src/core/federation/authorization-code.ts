/**
 * The authorization code flow with external providers. Their tokens are used to read the user's
 * profile and discarded, unless the settings ask to store them.
 */
import type { Configuration, TokenEndpointResponse } from 'openid-client';
import { upstreamInvalid, upstreamUnavailable } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import type { HttpClient, JsonClient } from '../../base/http-client.js';
import type { Log } from '../../base/log.js';
import { clip } from '../../base/text.js';
import { type ExternalIdentity, isSubject } from '../identities/identities.js';
import type { ReceivedTokens } from '../identities/token-vault.js';
import { createProviderDiscovery } from './discovery.js';
import { type Client, isFailure, isRefreshRefused, loggableError, providerErrorOf, toAppError } from './errors.js';
import type { Claims, ExternalLogin, Provider } from './provider.js';

/** The values that bind a response to the browser that started the login. */
export interface LoginState {
  redirectUri: string;
  state: string;
  verifier: string;
  nonce: string;
}

/** Options of an authorization request. */
export interface AuthorizationOptions {
  /** Asks for consent, even if it was given before. */
  consent?: boolean | undefined;
}

/** A code that an app received from a provider. */
export interface AuthorizationCode {
  code: string;
  redirectUri: string;
  codeVerifier?: string | undefined;
}

interface Deps {
  server: HttpClient;
  requestJson: JsonClient;
  clock: Clock;
  log: Log;
}

/** Longer lifetimes are treated as unknown. */
const MAX_LIFETIME_SECONDS = 10 * 365 * DAY_SECONDS;
/** RFC 6749, appendix A.12. A library would repeat an invalid header value in its error. */
const ACCESS_TOKEN = /^[\x20-\x7e]+$/;

type Tokens = Awaited<ReturnType<typeof import('openid-client').authorizationCodeGrant>>;

export type CodeFlow = ReturnType<typeof createCodeFlow>;

export function createCodeFlow({ server, requestJson, clock, log }: Deps) {
  const { configurationOf, renewalConfigurationOf } = createProviderDiscovery({ server, clock });

  return { authorizationUrl, handleCallback, exchangeCode, renew, revoke };

  /**
   * Returns the authorization URL. Throws `AppError` `upstream_unavailable` or
   * `upstream_invalid_response`.
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
        ...(provider.storesTokens && provider.offlineParams),
        ...(consent && { prompt: 'consent' }),
      });
      return url.href;
    });
  }

  /**
   * Completes the flow with the query of the callback. Throws `AppError` `access_denied` if the
   * user denied the request, `invalid_credentials` if the code is invalid, `upstream_unavailable`,
   * or `upstream_invalid_response`, also for a response of another issuer.
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

  /** Exchanges a code that an app received. The app has checked state and nonce itself. */
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
   * Refreshes the tokens of a user. Returns `rejected` if the refresh token is no longer valid.
   * Throws `AppError` `upstream_unavailable`, after which the token can be tried again, or
   * `upstream_invalid_response`.
   */
  async function renew(
    provider: Provider,
    { subject }: ExternalIdentity,
    refreshToken: string,
  ): Promise<ReceivedTokens | 'rejected'> {
    return withErrorMapping(provider, async (client) => {
      try {
        const tokens = await client.refreshTokenGrant(await renewalConfigurationOf(provider), refreshToken);
        const claims = tokens.claims();
        // The subject must not change (OpenID Connect Core, section 12.2).
        if (claims && claims.sub !== subject) throw upstreamInvalid('it returned tokens of another user');
        return tokensIn(provider, tokens);
      } catch (error) {
        if (isRefreshRefused(error)) return 'rejected';
        throw error;
      }
    });
  }

  /** Revokes a token (RFC 7009). Returns false if the provider has no revocation endpoint. */
  async function revoke(provider: Provider, token: string): Promise<boolean> {
    return withErrorMapping(provider, async (client) => {
      const configuration = await configurationOf(provider);
      if (!configuration.serverMetadata().revocation_endpoint) return false;
      await client.tokenRevocation(configuration, token);
      return true;
    });
  }

  function tokensIn({ listsByComma }: Provider, tokens: TokenEndpointResponse): ReceivedTokens {
    const { access_token: accessToken, refresh_token: refreshToken, token_type: tokenType, expires_in: life } = tokens;
    if (!ACCESS_TOKEN.test(accessToken)) throw upstreamInvalid('its access token is invalid');
    return {
      accessToken,
      refreshToken: refreshToken || undefined,
      tokenType,
      scope: listsByComma ? tokens.scope?.replaceAll(',', ' ') : tokens.scope,
      expiresAt: life !== undefined && life < MAX_LIFETIME_SECONDS ? addSeconds(clock.now(), life) : undefined,
    };
  }

  /** @param requestedScope the granted scope if the response has none (RFC 6749, section 5.1) */
  async function toExternalLogin(
    provider: Provider,
    configuration: Configuration,
    tokens: Tokens,
    requestedScope?: string,
  ): Promise<ExternalLogin> {
    const claims = tokens.claims() as Claims | undefined;
    if (!provider.endpoints && !claims) throw upstreamInvalid('it returned no ID token');
    // The authorized party must be this client (OpenID Connect Core, section 3.1.3.7).
    if (claims?.azp !== undefined && claims.azp !== provider.clientId)
      throw upstreamInvalid('its ID token was issued to another client');
    const received = tokensIn(provider, tokens);
    const { accessToken: token } = received;
    const profile = await provider.readProfile({
      claims: claims ?? {},
      async userInfo() {
        if (!configuration.serverMetadata().userinfo_endpoint) return {};
        const { fetchUserInfo } = await import('openid-client');
        return fetchUserInfo(configuration, token, String(claims?.sub));
      },
      get: (url) => get(url, token),
    });
    if (!isSubject(profile.subject)) throw upstreamInvalid('it returned no valid subject');
    const { id, name, issuer, storesTokens } = provider;
    const tokensToKeep = storesTokens ? { ...received, scope: received.scope ?? requestedScope } : undefined;
    return { ...profile, issuer, provider: { id, name }, tokensToKeep };
  }

  async function get(url: string, token: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'Signet' };
    const { status, body } = await requestJson(url, { headers });
    if (status === 200) return body;
    if (status === 403 || status === 404) return undefined;
    throw isFailure(status) ? upstreamUnavailable(`it failed (${status})`) : upstreamInvalid(`it answered ${status}`);
  }

  /** Like `withErrorMapping`, for requests whose code may be invalid. */
  function withCodeErrors<Result>(provider: Provider, request: (client: Client) => Promise<Result>): Promise<Result> {
    return withErrorMapping(provider, request, true);
  }

  /** Maps provider errors to ours and logs the details an administrator needs. */
  async function withErrorMapping<Result>(
    provider: Provider,
    request: (client: Client) => Promise<Result>,
    consumesCode = false,
  ): Promise<Result> {
    const client = await import('openid-client');
    try {
      return await request(client);
    } catch (error) {
      const appError = toAppError(error, provider, client, consumesCode);
      const details = { provider: provider.id, code: clip(providerErrorOf(error) ?? '', 100) };
      if (appError.status < 500) log.info(details, 'an external provider rejected a request');
      else log.warn({ ...details, error: loggableError(error, client) }, 'an external provider cannot be used');
      throw appError;
    }
  }
}

const usesPkce = ({ unsupported }: Provider) => !unsupported?.includes('pkce');
const usesNonce = ({ endpoints, unsupported }: Provider) => !endpoints && !unsupported?.includes('nonce');
