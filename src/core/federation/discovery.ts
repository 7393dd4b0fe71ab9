/** Fetches the discovery documents of external providers, and configures openid-client for them. */
import type { Configuration, ServerMetadata } from 'openid-client';
import { upstreamInvalid } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS, SECOND_MS } from '../../base/clock.js';
import { asFetch, type HttpClient } from '../../base/http-client.js';
import { clip } from '../../base/text.js';
import { isSecureUrl } from '../../kit/loopback.js';
import type { OpenIdClient } from './errors.js';
import type { Provider } from './provider.js';

interface Deps {
  httpClient: HttpClient;
  clock: Clock;
}

interface Configurations {
  standard: Configuration;
  refresh: Configuration;
}

const CACHE_MS = HOUR_SECONDS * SECOND_MS;
/** Tolerated difference between the clocks of a provider and this server. */
const CLOCK_SKEW_SECONDS = 30;

/** Creates a cache of client configurations. */
export function createProviderDiscovery({ httpClient, clock }: Deps) {
  const cache = new Map<string, { configurations: Promise<Configurations>; loadedAtMs: number }>();
  const fetch = asFetch(httpClient);

  return { configurationOf, refreshConfigurationOf };

  /**
   * Returns the client configuration of a provider. Throws if its discovery document is invalid.
   */
  async function configurationOf(provider: Provider): Promise<Configuration> {
    return (await cachedConfigurations(provider)).standard;
  }

  /**
   * Returns the configuration for refresh requests. It does not verify signatures of ID tokens,
   * because fetching the keys could fail, and the new refresh token would be lost. The ID token
   * comes directly from the provider over TLS (OpenID Connect Core, section 3.1.3.7).
   */
  async function refreshConfigurationOf(provider: Provider): Promise<Configuration> {
    return (await cachedConfigurations(provider)).refresh;
  }

  /** Fetches the discovery document at most once an hour. Does not cache a failure. */
  function cachedConfigurations(provider: Provider): Promise<Configurations> {
    const now = clock.now().getTime();
    const cached = cache.get(provider.id);
    if (cached && now - cached.loadedAtMs < CACHE_MS) return cached.configurations;
    const entry = { configurations: loadConfigurations(provider), loadedAtMs: now };
    cache.set(provider.id, entry);
    entry.configurations.catch(() => cache.get(provider.id) === entry && cache.delete(provider.id));
    return entry.configurations;
  }

  async function loadConfigurations(provider: Provider): Promise<Configurations> {
    const client = await import('openid-client');
    const metadata = provider.oauthEndpoints ? oauthMetadata(provider) : await discover(provider);
    const [standard, refresh] = [configure(client, provider, metadata), configure(client, provider, metadata)];
    // Verifies the signatures of ID tokens. An OAuth 2.0 provider returns none.
    if (!provider.oauthEndpoints) client.enableNonRepudiationChecks(standard);
    return { standard, refresh };
  }

  function configure(client: OpenIdClient, provider: Provider, metadata: ServerMetadata): Configuration {
    const { issuer, clientId, clientSecret } = provider;
    const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const usesBody = provider.secretInBody || !methods.includes('client_secret_basic');
    const authenticateClient = usesBody ? client.ClientSecretPost : client.ClientSecretBasic;
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: CLOCK_SKEW_SECONDS },
      clientSecret ? authenticateClient(clientSecret) : client.None(),
    );
    configuration[client.customFetch] = fetchSecurely;
    if (usesHttp(issuer)) client.allowInsecureRequests(configuration);
    return configuration;
  }

  async function discover({ issuer, clientId }: Provider): Promise<ServerMetadata> {
    const client = await import('openid-client');
    const discovered = await client.discovery(new URL(issuer), clientId, {}, client.None(), {
      execute: usesHttp(issuer) ? [client.allowInsecureRequests] : [],
      [client.customFetch]: fetchSecurely,
    });
    const metadata = discovered.serverMetadata();
    if (metadata.issuer !== issuer)
      throw upstreamInvalid(`its discovery document names the issuer ${clip(metadata.issuer, 200)}`);
    if (!Array.isArray(metadata.token_endpoint_auth_methods_supported ?? []))
      throw upstreamInvalid('its discovery document is invalid');
    const authorizationUrl = URL.parse(String(metadata.authorization_endpoint));
    if (!authorizationUrl || !isSecureUrl(authorizationUrl))
      throw upstreamInvalid('its authorization endpoint is not an https URL');
    return metadata;
  }

  async function fetchSecurely(url: string, options: unknown): Promise<Response> {
    if (!isSecureUrl(new URL(url))) throw upstreamInvalid('one of its endpoints is not an https URL');
    return fetch(url, options as Parameters<typeof fetch>[1]);
  }
}

/** Returns the metadata of a provider without a discovery document. */
function oauthMetadata({ issuer, oauthEndpoints }: Provider): ServerMetadata {
  const { authorization, token, revocation } = oauthEndpoints!;
  return {
    issuer,
    authorization_endpoint: authorization,
    token_endpoint: token,
    ...(revocation && { revocation_endpoint: revocation }),
  };
}

/** The settings allow http only for issuers on a loopback address. */
const usesHttp = (issuer: string) => issuer.startsWith('http:');
