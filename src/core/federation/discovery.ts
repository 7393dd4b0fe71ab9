/**
 * How to speak to each provider elsewhere: where its endpoints are, how we prove there who we are,
 * and what we hold it to.
 */
import type { Configuration, ServerMetadata } from 'openid-client';
import { upstreamInvalid } from '../../base/app-error.js';
import { type Clock, HOUR_SECONDS, SECOND_MS } from '../../base/clock.js';
import { asFetch, type HttpClient } from '../../base/http-client.js';
import { isSecureUrl } from '../../base/loopback.js';
import { clip } from '../../base/text.js';
import type { Client } from './errors.js';
import type { Provider } from './provider.js';

interface Deps {
  server: HttpClient;
  clock: Clock;
}

interface Both {
  configuration: Configuration;
  forRenewals: Configuration;
}

const REFRESH_INTERVAL_MS = HOUR_SECONDS * SECOND_MS;
/** Clocks of two companies differ. */
const SKEW_SECONDS = 30;

export function createProviderDiscovery({ server, clock }: Deps) {
  const known = new Map<string, { both: Promise<Both>; readAt: number }>();
  const fetchNamed = asFetch(server);

  return { configurationOf, renewalConfigurationOf };

  /** Its endpoints and how to speak to it. */
  async function configurationOf(provider: Provider): Promise<Configuration> {
    return (await bothOf(provider)).configuration;
  }

  /**
   * The same, but an ID token that comes with a renewal is known by where it comes from (OpenID
   * Connect Core, 3.1.3.7): to fetch keys could fail, and a refresh token that was given beside it
   * would be lost.
   */
  async function renewalConfigurationOf(provider: Provider): Promise<Configuration> {
    return (await bothOf(provider)).forRenewals;
  }

  /** The discovery document is read once an hour. */
  function bothOf(provider: Provider): Promise<Both> {
    const now = clock.now().getTime();
    const before = known.get(provider.id);
    if (before && now - before.readAt < REFRESH_INTERVAL_MS) return before.both;
    const entry = { both: readBoth(provider), readAt: now };
    known.set(provider.id, entry);
    entry.both.catch(() => known.get(provider.id) === entry && known.delete(provider.id));
    return entry.both;
  }

  async function readBoth(provider: Provider): Promise<Both> {
    const client = await import('openid-client');
    const { issuer, endpoints } = provider;
    const metadata = endpoints
      ? { issuer, authorization_endpoint: endpoints.authorization, token_endpoint: endpoints.token }
      : await discover(provider);
    const [configuration, forRenewals] = [configure(client, provider, metadata), configure(client, provider, metadata)];
    if (!endpoints) client.enableNonRepudiationChecks(configuration); // it has keys: its ID tokens must be signed with them
    return { configuration, forRenewals };
  }

  function configure(client: Client, provider: Provider, metadata: ServerMetadata): Configuration {
    const { issuer, clientId, clientSecret } = provider;
    const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const inBody = provider.secretInBody || !methods.includes('client_secret_basic');
    const proof = inBody ? client.ClientSecretPost : client.ClientSecretBasic;
    const configuration = new client.Configuration(
      metadata,
      clientId,
      { [client.clockTolerance]: SKEW_SECONDS },
      clientSecret ? proof(clientSecret) : client.None(),
    );
    configuration[client.customFetch] = fetchInsecure;
    if (isInsecure(issuer)) client.allowInsecureRequests(configuration);
    return configuration;
  }

  async function discover({ issuer, clientId }: Provider): Promise<ServerMetadata> {
    const client = await import('openid-client');
    const found = await client.discovery(new URL(issuer), clientId, {}, client.None(), {
      execute: isInsecure(issuer) ? [client.allowInsecureRequests] : [],
      [client.customFetch]: fetchInsecure,
    });
    const metadata = found.serverMetadata();
    if (metadata.issuer !== issuer) throw upstreamInvalid(`it calls itself ${clip(metadata.issuer, 200)}`);
    if (!Array.isArray(metadata.token_endpoint_auth_methods_supported ?? []))
      throw upstreamInvalid('its document is odd');
    const page = URL.parse(String(metadata.authorization_endpoint));
    if (!page || !isSecureUrl(page)) throw upstreamInvalid('its document leads to no page that is https');
    return metadata;
  }

  async function fetchInsecure(url: string, options: unknown): Promise<Response> {
    if (!isSecureUrl(new URL(url))) throw upstreamInvalid('it has an address that is not https');
    return fetchNamed(url, options as Parameters<typeof fetchNamed>[1]);
  }
}

/** On this machine: the settings see to that. */
const isInsecure = (issuer: string) => issuer.startsWith('http:');
