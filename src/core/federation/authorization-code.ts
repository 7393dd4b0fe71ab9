/**
 * Runs the authorization code flow with external providers. Reads the user's profile with their
 * tokens, and then discards the tokens, unless FEDERATION_STORE_TOKENS names the provider.
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
import {
  isRefreshTokenRejected,
  isTemporaryStatus,
  type OpenIdClient,
  providerErrorOf,
  toAppError,
  toLoggableError,
} from './errors.js';
import type { Claims, ExternalLogin, Provider } from './provider.js';

/** The values that bind a response of the provider to the browser that started the login. */
export interface BrowserBinding {
  redirectUri: string;
  state: string;
  verifier: string;
  nonce: string;
}

/** Options of an authorization request. */
export interface AuthorizationOptions {
  /** Whether the provider must ask for consent, even if the user has given it before. */
  consent?: boolean | undefined;
}

/** A code that an app received from a provider. */
export interface AuthorizationCode {
  code: string;
  redirectUri: string;
  codeVerifier?: string | undefined;
}

interface Deps {
  httpClient: HttpClient;
  requestJson: JsonClient;
  clock: Clock;
  log: Log;
}

/** Longer lifetimes are treated as unknown. */
const MAX_LIFETIME_SECONDS = 10 * 365 * DAY_SECONDS;
/** RFC 6749, appendix A.12. The HTTP library would quote an invalid one in an error. */
const ACCESS_TOKEN = /^[\x20-\x7e]+$/;

type TokenResponse = Awaited<ReturnType<typeof import('openid-client').authorizationCodeGrant>>;

export type CodeFlow = ReturnType<typeof createCodeFlow>;

/** Creates the flow. It is the same for all providers. */
export function createCodeFlow({ httpClient, requestJson, clock, log }: Deps) {
  const { configurationOf, refreshConfigurationOf } = createProviderDiscovery({ httpClient, clock });

  return { authorizationUrl, handleCallback, exchangeCode, refresh, revoke };

  /**
   * Returns the authorization URL. Throws `AppError` `upstream_unavailable` or
   * `upstream_invalid_response`.
   */
  async function authorizationUrl(
    provider: Provider,
    { redirectUri, state, verifier, nonce }: BrowserBinding,
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
        ...(provider.storesTokens && provider.refreshTokenParameters),
        ...(consent && { prompt: 'consent' }),
      });
      return url.href;
    });
  }

  /**
   * Completes the flow with the query of the callback. Throws `AppError` `access_denied` if the
   * user denied the request, `invalid_credentials` if the code is invalid, `upstream_unavailable`,
   * or `upstream_invalid_response` if the response is invalid or comes from another issuer.
   */
  async function handleCallback(provider: Provider, query: string, binding: BrowserBinding): Promise<ExternalLogin> {
    return withCodeErrorMapping(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.authorizationCodeGrant(configuration, new URL(`${binding.redirectUri}?${query}`), {
        expectedState: binding.state,
        ...(usesPkce(provider) && { pkceCodeVerifier: binding.verifier }),
        ...(usesNonce(provider) && { expectedNonce: binding.nonce }),
        idTokenExpected: !provider.oauthEndpoints,
      });
      return toExternalLogin(provider, configuration, tokens, provider.scope);
    });
  }

  /**
   * Exchanges a code that an app received. Throws like `handleCallback`. The app must check state
   * and nonce itself.
   */
  async function exchangeCode(
    provider: Provider,
    { code, redirectUri, codeVerifier }: AuthorizationCode,
  ): Promise<ExternalLogin> {
    return withCodeErrorMapping(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.genericGrantRequest(configuration, 'authorization_code', {
        code,
        redirect_uri: redirectUri,
        ...(codeVerifier && { code_verifier: codeVerifier }),
      });
      return toExternalLogin(provider, configuration, tokens as TokenResponse);
    });
  }

  /**
   * Refreshes the tokens of a user. Returns `rejected` if the refresh token is no longer valid.
   * Throws `AppError` `upstream_unavailable`, after which the caller can retry, or
   * `upstream_invalid_response`.
   */
  async function refresh(
    provider: Provider,
    { subject }: ExternalIdentity,
    refreshToken: string,
  ): Promise<ReceivedTokens | 'rejected'> {
    return withErrorMapping(provider, async (client) => {
      try {
        const tokens = await client.refreshTokenGrant(await refreshConfigurationOf(provider), refreshToken);
        const claims = tokens.claims();
        // The subject must not change (OpenID Connect Core, section 12.2).
        if (claims && claims.sub !== subject) throw upstreamInvalid('it returned tokens of another user');
        return toReceivedTokens(provider, tokens);
      } catch (error) {
        if (isRefreshTokenRejected(error)) return 'rejected';
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

  function toReceivedTokens({ commaSeparatedScopes }: Provider, tokens: TokenEndpointResponse): ReceivedTokens {
    const { access_token, refresh_token, token_type, expires_in, scope } = tokens;
    if (!ACCESS_TOKEN.test(access_token)) throw upstreamInvalid('its access token is invalid');
    const lifetimeIsKnown = expires_in !== undefined && expires_in < MAX_LIFETIME_SECONDS;
    return {
      accessToken: access_token,
      refreshToken: refresh_token || undefined,
      tokenType: token_type,
      scope: commaSeparatedScopes ? scope?.replaceAll(',', ' ') : scope,
      expiresAt: lifetimeIsKnown ? addSeconds(clock.now(), expires_in) : undefined,
    };
  }

  /**
   * Reads the user's profile with the tokens.
   *
   * @param requestedScope the scope that was granted if the response has none (RFC 6749, section
   *   5.1)
   */
  async function toExternalLogin(
    provider: Provider,
    configuration: Configuration,
    tokens: TokenResponse,
    requestedScope?: string,
  ): Promise<ExternalLogin> {
    const claims = tokens.claims() as Claims | undefined;
    if (!provider.oauthEndpoints && !claims) throw upstreamInvalid('it returned no ID token');
    // The authorized party must be this client (OpenID Connect Core, section 3.1.3.7).
    if (claims?.azp !== undefined && claims.azp !== provider.clientId)
      throw upstreamInvalid('its ID token was issued to another client');
    const received = toReceivedTokens(provider, tokens);
    const { accessToken } = received;
    const profile = await provider.readProfile({
      claims: claims ?? {},
      async userInfo() {
        if (!configuration.serverMetadata().userinfo_endpoint) return {};
        const { fetchUserInfo } = await import('openid-client');
        return fetchUserInfo(configuration, accessToken, String(claims?.sub));
      },
      callApi: (url) => callApi(url, accessToken),
    });
    if (!isSubject(profile.subject)) throw upstreamInvalid('it returned no valid subject');
    const { id, name, issuer, storesTokens } = provider;
    const tokensToKeep = storesTokens ? { ...received, scope: received.scope ?? requestedScope } : undefined;
    return { ...profile, issuer, provider: { id, name }, tokensToKeep };
  }

  async function callApi(url: string, accessToken: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${accessToken}`, 'user-agent': 'Signet' };
    const { status, body } = await requestJson(url, { headers });
    if (status === 200) return body;
    if (status === 403 || status === 404) return undefined;
    const message = `its API returned status ${status}`;
    throw isTemporaryStatus(status) ? upstreamUnavailable(message) : upstreamInvalid(message);
  }

  /** Maps errors like `withErrorMapping`, for a request that redeems a code. */
  function withCodeErrorMapping<Result>(
    provider: Provider,
    request: (client: OpenIdClient) => Promise<Result>,
  ): Promise<Result> {
    return withErrorMapping(provider, request, { redeemsCode: true });
  }

  /** Maps provider errors to ours, and logs the details that an administrator needs. */
  async function withErrorMapping<Result>(
    provider: Provider,
    request: (client: OpenIdClient) => Promise<Result>,
    { redeemsCode } = { redeemsCode: false },
  ): Promise<Result> {
    const client = await import('openid-client');
    try {
      return await request(client);
    } catch (error) {
      const appError = toAppError(error, provider, client, { redeemsCode });
      const details = { provider: provider.id, code: clip(providerErrorOf(error) ?? '', 100) };
      if (appError.status < 500) log.info(details, 'an external provider rejected a request');
      else log.warn({ ...details, error: toLoggableError(error, client) }, 'a request to an external provider failed');
      throw appError;
    }
  }
}

const usesPkce = ({ unsupported }: Provider) => !unsupported?.includes('pkce');
const usesNonce = ({ oauthEndpoints, unsupported }: Provider) => !oauthEndpoints && !unsupported?.includes('nonce');
