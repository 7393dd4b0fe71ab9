/** Discovers external providers and configures openid-client for them. */
import type { Configuration, ServerMetadata } from 'openid-client';
import { upstreamInvalid } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS, SECOND_MS } from '../../base/clock.js';
import { asFetch, type HttpClient } from '../../base/http-client.js';
import { clip } from '../../base/text.js';
import { isSecureUrl } from '../../kit/loopback.js';
import type { Client } from './errors.js';
import type { Provider } from './provider.js';

interface Deps {
  server: HttpClient;
  clock: Clock;
}

interface Configurations {
  configuration: Configuration;
  forRenewals: Configuration;
}

const REFRESH_INTERVAL_MS = HOUR_SECONDS * SECOND_MS;
/** Tolerated clock skew of a provider. */
const SKEW_SECONDS = 30;

export function createProviderDiscovery({ server, clock }: Deps) {
  const known = new Map<string, { both: Promise<Configurations>; readAt: number }>();
  const fetchNamed = asFetch(server);

  return { configurationOf, renewalConfigurationOf };

  /** Returns the client configuration of a provider. */
  async function configurationOf(provider: Provider): Promise<Configuration> {
    return (await bothOf(provider)).configuration;
  }

  /**
   * Returns the configuration for refresh requests. It does not verify signatures of ID tokens,
   * which come directly from the provider over TLS (OpenID Connect Core, section 3.1.3.7): fetching
   * keys could fail, and the new refresh token would be lost.
   */
  async function renewalConfigurationOf(provider: Provider): Promise<Configuration> {
    return (await bothOf(provider)).forRenewals;
  }

  /** Reads the discovery document at most once an hour. */
  function bothOf(provider: Provider): Promise<Configurations> {
    const now = clock.now().getTime();
    const cached = known.get(provider.id);
    if (cached && now - cached.readAt < REFRESH_INTERVAL_MS) return cached.both;
    const entry = { both: readBoth(provider), readAt: now };
    known.set(provider.id, entry);
    entry.both.catch(() => known.get(provider.id) === entry && known.delete(provider.id));
    return entry.both;
  }

  async function readBoth(provider: Provider): Promise<Configurations> {
    const client = await import('openid-client');
    const { issuer, endpoints } = provider;
    const metadata = endpoints
      ? { issuer, authorization_endpoint: endpoints.authorization, token_endpoint: endpoints.token }
      : await discover(provider);
    const [configuration, forRenewals] = [configure(client, provider, metadata), configure(client, provider, metadata)];
    if (!endpoints) client.enableNonRepudiationChecks(configuration); // verifies signatures of ID tokens
    return { configuration, forRenewals };
  }

  function configure(client: Client, provider: Provider, metadata: ServerMetadata): Configuration {
    const { issuer, clientId, clientSecret } = provider;
    const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const inBody = provider.secretInBody || !methods.includes('client_secret_basic');
    const clientAuth = inBody ? client.ClientSecretPost : client.ClientSecretBasic;
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: SKEW_SECONDS },
      clientSecret ? clientAuth(clientSecret) : client.None(),
    );
    configuration[client.customFetch] = fetchSecure;
    if (isInsecure(issuer)) client.allowInsecureRequests(configuration);
    return configuration;
  }

  async function discover({ issuer, clientId }: Provider): Promise<ServerMetadata> {
    const client = await import('openid-client');
    const found = await client.discovery(new URL(issuer), clientId, {}, client.None(), {
      execute: isInsecure(issuer) ? [client.allowInsecureRequests] : [],
      [client.customFetch]: fetchSecure,
    });
    const metadata = found.serverMetadata();
    if (metadata.issuer !== issuer)
      throw upstreamInvalid(`its discovery document names the issuer ${clip(metadata.issuer, 200)}`);
    if (!Array.isArray(metadata.token_endpoint_auth_methods_supported ?? []))
      throw upstreamInvalid('its discovery document is invalid');
    const page = URL.parse(String(metadata.authorization_endpoint));
    if (!page || !isSecureUrl(page)) throw upstreamInvalid('its authorization endpoint is not an https URL');
    return metadata;
  }

  async function fetchSecure(url: string, options: unknown): Promise<Response> {
    if (!isSecureUrl(new URL(url))) throw upstreamInvalid('one of its endpoints is not an https URL');
    return fetchNamed(url, options as Parameters<typeof fetchNamed>[1]);
  }
}

/** Only loopback issuers are plain HTTP: the settings are checked for that. */
const isInsecure = (issuer: string) => issuer.startsWith('http:');
