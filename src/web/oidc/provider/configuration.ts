/** The configuration of oidc-provider. */
import { type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { type Clock, HOUR_SECONDS, MINUTE_SECONDS } from '../../../base/clock.js';
import type { Config } from '../../../base/config.js';
import type { Secrets } from '../../../base/crypto.js';
import type { SafeFetch } from '../../../base/safe-fetch.js';
import { SCOPE_CLAIMS } from '../../../core/accounts/claims.js';
import type { Core } from '../../../core/core.js';
import { DPOP_ALGORITHMS } from '../../../kit/dpop.js';
import { hostCookie, pathCookieName } from '../../cookies/cookies.js';
import type { ClientCertificateReader } from '../../http/client-certificate.js';
import { cibaFeatures, cibaRequestSeconds, maxTokenSeconds } from '../features/ciba.js';
import { createFindAccount } from '../features/find-account.js';
import { createGrantLoader } from '../features/grant-loader.js';
import { createInteractionPolicy } from '../features/interaction-policy.js';
import { introspection } from '../features/introspection.js';
import { mutualTls } from '../features/mtls.js';
import { registration } from '../features/registration.js';
import { resourceIndicators } from '../features/resource-indicators.js';
import type { ProviderPages } from '../pages/provider-pages.js';
import { hasOrigin } from '../patches/client-authentication.js';
import { ROUTES } from '../paths.js';
import type { Adapters } from '../storage/adapter.js';
import { tokenBits } from '../storage/opaque-token-format.js';
import { createAgentTokens } from './agent-tokens.js';
import { NodeSigningKey } from './signing-key.js';

export interface ConfigurationDeps {
  config: Config;
  clock: Clock;
  core: Pick<
    Core,
    | 'accounts'
    | 'approvals'
    | 'oauthStorage'
    | 'audiences'
    | 'clients'
    | 'clientRegistration'
    | 'clientCertificates'
    | 'consents'
    | 'keys'
    | 'activeAgents'
    | 'resources'
    | 'workloadIdentities'
  >;
  secrets: Secrets;
  fetch: SafeFetch;
  adapters: Adapters;
  pages: ProviderPages;
  certificates: ClientCertificateReader;
  /**
   * The path of the token endpoint. Its alias has a provider of its own, so that DPoP proofs and
   * client assertions are checked against the URL that the client called.
   */
  tokenPath: string;
}

const AUTHORIZATION_CODE_SECONDS = MINUTE_SECONDS;
const DEVICE_CODE_SECONDS = 10 * MINUTE_SECONDS;
const INTERACTION_SECONDS = HOUR_SECONDS;
const ID_TOKEN_SECONDS = HOUR_SECONDS;
const DPOP_NONCE_BYTES = 32;
const MAX_ASSERTION_SECONDS = HOUR_SECONDS;

export function createProviderConfiguration(deps: ConfigurationDeps): Configuration {
  const { config, core, secrets, fetch, adapters, pages, tokenPath } = deps;
  const { clientRegistration, resources, audiences } = core;
  const accessTokenSeconds = config.accessTokenSeconds;
  const findAccount = createFindAccount(core);
  const registrationSettings = registration({ config, clientRegistration });
  const mTLS = mutualTls(deps);
  const agentTokens = createAgentTokens({ audiences, clock: deps.clock });

  return {
    adapter: adapters.adapterFor,
    jwks: { keys: core.keys.set().keys.map((key) => new NodeSigningKey(key)) },
    routes: { ...ROUTES, token: tokenPath },
    scopes: core.resources.clientScopes(),
    ...(config.clientDocuments && { discovery: { client_id_metadata_document_supported: true } }),
    // Every ID token has `amr`, so that an app can require a second factor (OIDC Core 2).
    claims: {
      ...SCOPE_CLAIMS,
      openid: [...SCOPE_CLAIMS.openid, 'amr'],
      acr: null,
      auth_time: null,
      iss: null,
      sid: null,
    },
    // Most libraries read name and e-mail from the ID token. A strict reading of OIDC Core 5.4
    // would return them at userinfo only.
    conformIdTokenClaims: false,
    responseTypes: ['code'],
    subjectTypes: ['public'],
    clientAuthMethods: [
      'none',
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      ...(mTLS.tlsClientAuth ? (['tls_client_auth'] as const) : []),
    ],
    clientDefaults: {
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'RS256',
    },
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'ES256'],
      clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'Ed25519', 'EdDSA'],
      dPoPSigningAlgValues: [...DPOP_ALGORITHMS],
    },
    pkce: { required: (_ctx, client) => client.clientAuthMethod === 'none' || client.pkce_required !== false },
    // Pages can call the token endpoint only as public clients, from the origin of a redirect URI.
    clientBasedCORS: (ctx, origin, client) =>
      (ctx.oidc.route === 'userinfo' || client.clientAuthMethod === 'none') && hasOrigin(client, origin),
    rotateRefreshToken: true,
    // Every client registered for refresh tokens gets them. With offline_access, they outlive the
    // session; without it, they are revoked with the session.
    issueRefreshToken: async (_ctx, client, source) =>
      source.kind !== 'BackchannelAuthenticationRequest' && client.grantTypeAllowed('refresh_token'),
    // Tokens are revoked with their grant, and the grant with its session, so no session is looked
    // up.
    expiresWithSession: async () => false,
    findAccount,
    loadExistingGrant: createGrantLoader(core),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}`, policy: createInteractionPolicy() },
    assertJwtClientAuthClaimsAndHeader: rejectBroadAssertion,
    renderError: pages.error,
    fetch: (url, options) => fetch(url as string, options as never) as never,
    cookies: {
      names: {
        session: hostCookie(config.issuer, 'signet_op').name,
        interaction: pathCookieName(config.issuer, 'signet_interaction'),
        resume: pathCookieName(config.issuer, 'signet_resume'),
      },
      keys: secrets.keys('cookies').map((key) => key.toString('base64url')),
      long: { httpOnly: true, sameSite: 'lax', path: '/', overwrite: true },
      short: { httpOnly: true, sameSite: 'lax', overwrite: true },
    },
    ttl: {
      AccessToken: (_ctx, token) =>
        Math.min(token.resourceServer?.accessTokenTTL ?? accessTokenSeconds, maxTokenSeconds(token)),
      BackchannelAuthenticationRequest: (ctx) => cibaRequestSeconds(ctx),
      ClientCredentials: (_ctx, token, client) =>
        Math.min(token.resourceServer?.accessTokenTTL ?? accessTokenSeconds, agentTokens.maxSeconds(client)),
      AuthorizationCode: AUTHORIZATION_CODE_SECONDS,
      DeviceCode: DEVICE_CODE_SECONDS,
      Grant: (ctx) => grantSeconds(ctx),
      IdToken: ID_TOKEN_SECONDS,
      Interaction: INTERACTION_SECONDS,
      // A refresh token does not outlive its grant.
      RefreshToken: (ctx) => Math.min(config.refreshTokenSeconds, ctx?.oidc.entities.Grant?.remainingTTL ?? Infinity),
      Session: config.sessionSeconds,
    },
    extraTokenClaims: async (ctx, token) => agentTokens.claims(ctx, token),
    formats: {
      bitsOfOpaqueRandomness: (_ctx, model) => tokenBits(model.kind),
      customizers: {
        /**
         * Adds `gid` and `sid`, with which a JWT access token (RFC 9068) can be revoked. Completes
         * the rotation of a refresh token: see storage/token-adapter.ts, step 7.
         */
        async jwt(ctx, token, parts) {
          if (token.kind !== 'AccessToken') return;
          await adapters.completeRotation(ctx, token as never);
          if (token.grantId) Object.assign(parts.payload, { gid: token.grantId, sid: token.sessionUid });
        },
      },
    },
    extraClientMetadata: registrationSettings.metadata,
    features: {
      devInteractions: { enabled: false },
      ...cibaFeatures(deps),
      backchannelLogout: { enabled: true },
      claimsParameter: { enabled: true },
      externalSigningSupport: { enabled: true, ack: 'experimental-01' },
      clientCredentials: { enabled: true },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: pages.deviceInput,
        userCodeConfirmSource: pages.deviceConfirm,
        successSource: pages.deviceDone,
      },
      dPoP: {
        enabled: true,
        nonceSecret: secrets.key('dpop-nonce').subarray(0, DPOP_NONCE_BYTES),
        requireNonce: () => true,
      },
      mTLS,
      introspection: introspection({ core, findAccount }),
      pushedAuthorizationRequests: { enabled: true },
      ...registrationSettings.features,
      resourceIndicators: resourceIndicators({ config, resources, audiences }),
      revocation: {
        enabled: true,
        async allowedPolicy(_ctx, client, token) {
          if (token.clientId === client.clientId) return true;
          throw new errors.InvalidRequest('the token was issued to another client'); // RFC 7009, 2.1 asks for an error
        },
      },
      rpInitiatedLogout: { enabled: true, logoutSource: pages.logout, postLogoutSuccessSource: pages.loggedOut },
      userinfo: { enabled: true },
    },
  };

  /**
   * Rejects an assertion with several audiences, because the others could replay it here. Rejects
   * one with a long lifetime, because it would be like a password.
   */
  async function rejectBroadAssertion(_ctx: unknown, claims: { aud?: unknown; exp?: unknown }): Promise<void> {
    if (Array.isArray(claims.aud) && claims.aud.length !== 1) {
      throw new errors.InvalidClientAuth('the assertion must have a single audience');
    }
    if (Number(claims.exp) > Date.now() / 1000 + MAX_ASSERTION_SECONDS) {
      throw new errors.InvalidClientAuth('the lifetime of the assertion is too long');
    }
  }

  /**
   * Returns the lifetime of a grant. With refresh tokens, it is that of the longest session;
   * without, it only has to exceed that of the access token.
   */
  function grantSeconds(ctx: KoaContextWithOIDC): number {
    const canRefresh = ctx.oidc.client?.grantTypeAllowed('refresh_token');
    return canRefresh ? config.sessionMaxSeconds : accessTokenSeconds + DEVICE_CODE_SECONDS;
  }
}
