/**
 * The authorization code flow with a provider elsewhere, once for all of them: where to send somebody, and who came back. What the
 * provider hands out is used to ask who that is, and thrown away.
 */
import type { Configuration } from 'openid-client';
import { z } from 'zod';
import { type Clock, HOUR_SECONDS, SECOND_MS } from '../../base/clock.js';
import { forbidden, Refusal, unauthenticated, upstreamInvalid, upstreamUnavailable } from '../../base/errors.js';
import type { JsonClient } from '../../base/json-client.js';
import type { Log } from '../../base/log.js';
import { isUnheard } from '../../base/loopback.js';
import { asFetch, type NamedServer } from '../../base/named-server.js';
import { clip } from '../../base/text.js';
import { isSubject } from './identities.js';
import type { Claims, ForeignArrival, Provider } from './provider.js';

/** What only this browser's answer can fit to. */
export interface Binding {
  redirectUri: string;
  state: string;
  verifier: string;
  nonce: string;
}

/** A code that an app got by itself. */
export interface GivenCode {
  code: string;
  redirectUri: string;
  codeVerifier?: string | undefined;
}

interface Needs {
  server: NamedServer;
  ask: JsonClient;
  clock: Clock;
  log: Log;
}

type Tokens = Awaited<ReturnType<typeof import('openid-client').authorizationCodeGrant>>;

const READ_AGAIN_AFTER_MS = HOUR_SECONDS * SECOND_MS;
/** Clocks of two companies differ. */
const SKEW_SECONDS = 30;
/** As providers call it that the person said no. */
const SAID_NO = new Set(['access_denied', 'user_cancelled_login', 'user_cancelled_authorize']);
/** As they call it that a code is unknown, old, used, or for another address or verifier. */
const CODE_REFUSED = new Set(['invalid_grant', 'bad_verification_code', 'invalid_request']);
const FAILING = new Set(['server_error', 'temporarily_unavailable', 'slow_down']);

export type Exchange = ReturnType<typeof createExchange>;

export function createExchange({ server, ask, clock, log }: Needs) {
  const known = new Map<string, { configuration: Promise<Configuration>; readAt: number }>();

  return { authorizationUrl, redeem, redeemCode };

  /** Where the person says yes. Refuses with `upstream_unavailable` or `upstream_invalid_response`. */
  async function authorizationUrl(
    provider: Provider,
    { redirectUri, state, verifier, nonce }: Binding,
  ): Promise<string> {
    return translating(provider, async (client) => {
      const url = client.buildAuthorizationUrl(await configurationOf(provider), {
        redirect_uri: redirectUri,
        scope: provider.scope,
        state,
        ...(usesPkce(provider) && {
          code_challenge: await client.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
        }),
        ...(usesNonce(provider) && { nonce }),
      });
      if (!isUnheard(url)) throw upstreamInvalid('its sign-in page is not https');
      return url.href;
    });
  }

  /**
   * Who came back with this answer. Refuses with `access_denied` when they said no, with `invalid_credentials` when the code is not
   * taken, with `upstream_unavailable` and with `upstream_invalid_response`: also when it is another issuer's answer.
   */
  async function redeem(provider: Provider, query: string, binding: Binding): Promise<ForeignArrival> {
    return translating(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.authorizationCodeGrant(configuration, new URL(`${binding.redirectUri}?${query}`), {
        expectedState: binding.state,
        ...(usesPkce(provider) && { pkceCodeVerifier: binding.verifier }),
        ...(usesNonce(provider) && { expectedNonce: binding.nonce }),
        idTokenExpected: !provider.endpoints,
      });
      return arrivalOf(provider, configuration, tokens);
    });
  }

  /** The same for a code that an app got, whose state and nonce were the app's affair. */
  async function redeemCode(
    provider: Provider,
    { code, redirectUri, codeVerifier }: GivenCode,
  ): Promise<ForeignArrival> {
    return translating(provider, async (client) => {
      const configuration = await configurationOf(provider);
      const tokens = await client.genericGrantRequest(configuration, 'authorization_code', {
        code,
        redirect_uri: redirectUri,
        ...(codeVerifier && { code_verifier: codeVerifier }),
      });
      return arrivalOf(provider, configuration, tokens as Tokens);
    });
  }

  async function arrivalOf(provider: Provider, configuration: Configuration, tokens: Tokens): Promise<ForeignArrival> {
    const claims = tokens.claims() as Claims | undefined;
    if (!provider.endpoints && !claims) throw upstreamInvalid('it gives no ID token');
    const { access_token: token } = tokens;
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
    return { ...profile, issuer: provider.issuer, provider: { id: provider.id, name: provider.name } };
  }

  async function get(url: string, token: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'Signet' };
    const { status, body } = await ask(url, { headers });
    if (status === 200) return body;
    if (status === 403 || status === 404) return undefined;
    throw status === 429 || status >= 500
      ? upstreamUnavailable(`it fails (${status})`)
      : upstreamInvalid(`it answers ${status}`);
  }

  /** Its endpoints and how to speak to it; its discovery document is read once an hour. */
  function configurationOf(provider: Provider): Promise<Configuration> {
    const now = clock.now().getTime();
    const before = known.get(provider.id);
    if (before && now - before.readAt < READ_AGAIN_AFTER_MS) return before.configuration;
    const configuration = readConfiguration(provider);
    const entry = { configuration, readAt: now };
    known.set(provider.id, entry);
    configuration.catch(() => known.get(provider.id) === entry && known.delete(provider.id));
    return configuration;
  }

  async function readConfiguration(provider: Provider): Promise<Configuration> {
    const client = await import('openid-client');
    const { issuer, clientId, clientSecret, endpoints } = provider;
    const insecure = issuer.startsWith('http:') ? [client.allowInsecureRequests] : []; // on this machine: the settings see to that
    const metadata = { [client.clockTolerance]: SKEW_SECONDS };
    const fetchFrom = { [client.customFetch]: fetchUnheard };
    if (endpoints) {
      const { authorization: authorization_endpoint, token: token_endpoint } = endpoints;
      const server = { issuer, authorization_endpoint, token_endpoint };
      const configuration = new client.Configuration(server, clientId, metadata, client.ClientSecretPost(clientSecret));
      configuration[client.customFetch] = fetchUnheard;
      for (const allow of insecure) allow(configuration);
      return configuration;
    }
    const found = await client.discovery(new URL(issuer), clientId, metadata, client.None(), {
      execute: insecure,
      ...fetchFrom,
    });
    const server = found.serverMetadata();
    if (server.issuer !== issuer) throw upstreamInvalid(`it calls itself ${clip(server.issuer, 200)}`);
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const inBody = provider.secretInBody || !methods.includes('client_secret_basic');
    const proof = inBody ? client.ClientSecretPost : client.ClientSecretBasic;
    const authentication = clientSecret ? proof(clientSecret) : client.None();
    const configuration = new client.Configuration(server, clientId, metadata, authentication);
    configuration[client.customFetch] = fetchUnheard;
    for (const change of [...insecure, client.enableNonRepudiationChecks]) change(configuration);
    return configuration;
  }

  async function fetchUnheard(url: string, options: unknown): Promise<Response> {
    if (!isUnheard(new URL(url))) throw upstreamInvalid('it has an address that is not https');
    return asFetch(server)(url, options as Parameters<ReturnType<typeof asFetch>>[1]);
  }

  /** Says in our words what goes wrong, and leaves what only the keeper can mend in the log. */
  async function translating<Answer>(
    provider: Provider,
    speak: (client: typeof import('openid-client')) => Promise<Answer>,
  ): Promise<Answer> {
    const client = await import('openid-client');
    try {
      return await speak(client);
    } catch (error) {
      const refusal = toRefusal(error, provider, client);
      if (refusal.status >= 500) {
        const said = clip(saidBy(error) ?? '', 100);
        log.warn(
          { provider: provider.id, said, error: withoutAnswer(error, client) },
          'a provider elsewhere cannot be used',
        );
      }
      throw refusal;
    }
  }
}

const usesPkce = ({ lacks }: Provider) => !lacks?.includes('pkce');
const usesNonce = ({ endpoints, lacks }: Provider) => !endpoints && !lacks?.includes('nonce');

function toRefusal(error: unknown, { name }: Provider, client: typeof import('openid-client')): Refusal {
  const said = saidBy(error) ?? '';
  if (error instanceof client.AuthorizationResponseError) {
    if (SAID_NO.has(said)) return forbidden('access_denied', `You did not sign in with ${name}.`);
  } else if (CODE_REFUSED.has(said)) {
    return unauthenticated(
      'invalid_credentials',
      `${name} does not take this code: it is wrong, was used, or has expired.`,
    );
  }
  const fails = FAILING.has(said) || statusOf(error) === 429 || statusOf(error) >= 500;
  if (fails || refusalIn(error)?.code === 'upstream_unavailable') {
    return upstreamUnavailable(`${name} does not answer at the moment. Please try again.`);
  }
  if (isExpected(error, client)) return upstreamInvalid(`${name} answers what cannot be used.`);
  throw error;
}

/** The error code that the provider gave: in its answer to the browser, or in that to us. GitHub gives it with a status of 200. */
function saidBy(error: unknown): string | undefined {
  const { error: given, cause } = error as { error?: unknown; cause?: { cause?: { body?: { error?: unknown } } } };
  const code = given ?? cause?.cause?.body?.error;
  return typeof code === 'string' ? code : undefined;
}

function statusOf(error: unknown): number {
  const { status, cause } = error as { status?: unknown; cause?: { status?: unknown } };
  const given = cause?.status ?? status;
  return error instanceof Refusal || typeof given !== 'number' ? 0 : given;
}

/** What was thrown below the library, which wraps it. */
function refusalIn(error: unknown): Refusal | undefined {
  for (let one = error; one instanceof Error; one = one.cause) if (one instanceof Refusal) return one;
  return undefined;
}

/** Anything else is a bug of ours. */
function isExpected(error: unknown, client: typeof import('openid-client')): boolean {
  const kinds = [
    client.ClientError,
    client.ResponseBodyError,
    client.AuthorizationResponseError,
    client.WWWAuthenticateChallengeError,
    z.ZodError,
  ];
  return refusalIn(error) !== undefined || kinds.some((kind) => error instanceof kind);
}

/** The answer of a browser holds a state, and sometimes a code. */
const withoutAnswer = (error: unknown, client: typeof import('openid-client')) =>
  error instanceof client.AuthorizationResponseError ? error.message : error;
