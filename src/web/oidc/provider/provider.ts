/**
 * Builds oidc-provider and replaces it when a signing key or an API changes. There are two
 * instances, which differ only in the path of the token endpoint.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Provider from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Log } from '../../../base/log.js';
import type { RateLimiter } from '../../../base/rate-limiter.js';
import type { Core } from '../../../core/core.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import type { FormNavigation } from '../../pages/form-navigation.js';
import { patchDecisionLookup } from '../features/ciba-decision.js';
import { registerGrants } from '../grants/grants.js';
import { patchClientAuthentication } from '../patches/client-authentication.js';
import { patchClientKeys } from '../patches/client-keys.js';
import { patchFormResponses } from '../patches/form-responses.js';
import { patchIncrementalScope } from '../patches/incremental-scope.js';
import { patchJwtIntrospection } from '../patches/jwt-introspection.js';
import { patchParameterBounds } from '../patches/parameter-bounds.js';
import { patchProofBounds } from '../patches/proof-bounds.js';
import { patchRegistrationSecret } from '../patches/registration-secret.js';
import { patchReplayDetection } from '../patches/replay-detection.js';
import { patchRevocationContentType } from '../patches/revocation-content-type.js';
import { patchRpInitiatedLogout } from '../patches/rp-initiated-logout.js';
import { patchSessionFollowsLogin } from '../patches/session-follows-login.js';
import { patchSpiffeClientAuth } from '../patches/spiffe-client-auth.js';
import { DISCOVERY_PATHS, ROUTES, TOKEN_ALIAS_PATH } from '../paths.js';
import { internalsOf, type ProviderInternals } from '../provider-internals.js';
import { cacheClients } from '../storage/client-cache.js';
import type { ClientResolver } from '../storage/client-resolver.js';
import { type ConfigurationDeps, createProviderConfiguration } from './configuration.js';
import { addEventListeners } from './events.js';

interface Deps extends Omit<ConfigurationDeps, 'tokenPath' | 'core'> {
  core: ConfigurationDeps['core'] &
    Pick<Core, 'audit' | 'clientUsage' | 'delegations' | 'activeAgents' | 'oauthTokens' | 'sessions'>;
  resolveClient: ClientResolver;
  clock: Clock;
  loginCookie: LoginCookie;
  formNavigation: FormNavigation;
  rateLimiter: RateLimiter;
  log: Log;
}

/** Two providers, and the documents that do not change as long as they exist. */
interface ProviderGeneration {
  main: Provider;
  handleMain: RequestHandler;
  handleAlias: RequestHandler;
  discovery: string;
  jwks: string;
}

export type RequestHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void> | void;

export type Providers = ReturnType<typeof createProviders>;

export function createProviders(deps: Deps) {
  const { config, core, clock, resolveClient, loginCookie, formNavigation, pages, rateLimiter, log, secrets } = deps;
  let version = '';
  let generation: Promise<ProviderGeneration> | undefined;
  let built: { version: string; generation: ProviderGeneration } | undefined;

  return { current, currentIfBuilt };

  /** Returns the providers for the current keys and APIs. Builds them if these have changed. */
  function current(): Promise<ProviderGeneration> {
    const currentVersion = versionOfInputs();
    if (currentVersion !== version || !generation) {
      version = currentVersion;
      generation = build();
      generation.then(
        (result) => {
          built = { version: currentVersion, generation: result };
        },
        () => {
          version = ''; // the next request tries again
        },
      );
    }
    return generation;
  }

  /** Returns the same without waiting. Undefined while they are being built. */
  function currentIfBuilt(): ProviderGeneration | undefined {
    return built?.version === versionOfInputs() ? built.generation : undefined;
  }

  function versionOfInputs(): string {
    return `${core.keys.set().version} ${core.resources.version()}`;
  }

  async function build(): Promise<ProviderGeneration> {
    const [main, alias] = [buildProvider(ROUTES.token), buildProvider(TOKEN_ALIAS_PATH)];
    const handleMain = main.callback();
    return {
      main,
      handleMain,
      handleAlias: alias.callback(),
      discovery: await fetchDocument(handleMain, DISCOVERY_PATHS[0], config.issuer),
      jwks: await fetchDocument(handleMain, ROUTES.jwks, config.issuer),
    };
  }

  function buildProvider(tokenPath: string): Provider {
    const provider = new Provider(config.issuer, createProviderConfiguration({ ...deps, tokenPath }));
    provider.proxy = true; // it trusts the forwarding headers, which the request pipeline has set
    registerGrants(provider, { ...core, clock });
    addEventListeners(provider, { ...core, log });
    applyPatches(internalsOf(provider));
    return provider;
  }

  /** Applies the patches; patches/README.md explains each. */
  function applyPatches(internals: ProviderInternals): void {
    patchSessionFollowsLogin(internals, loginCookie, secrets);
    patchClientAuthentication(internals, core);
    patchIncrementalScope(internals, core.resources);
    cacheClients(internals, resolveClient);
    patchReplayDetection(internals, core.oauthStorage);
    patchJwtIntrospection(internals, core);
    patchParameterBounds(internals, config.requestBounds);
    patchProofBounds(internals);
    patchClientKeys(internals, { maxKeys: config.requestBounds.clientKeys });
    patchSpiffeClientAuth(internals, { issuer: config.issuer, workloadIdentities: core.workloadIdentities });
    patchDecisionLookup(internals, { ...core, rateLimiter });
    patchRegistrationSecret(internals);
    patchRevocationContentType(internals);
    patchRpInitiatedLogout(internals, { sessions: core.sessions, loginCookie, pages });
    patchFormResponses(internals, formNavigation); // after the other response hooks
  }
}

/** Returns the response body of a GET request, which is passed to the handler without a network. */
async function fetchDocument(handle: RequestHandler, path: string, issuer: string): Promise<string> {
  const req = new IncomingMessage(new Socket());
  const { host, protocol } = new URL(issuer);
  Object.assign(req, { method: 'GET', url: path, headers: { host, 'x-forwarded-proto': protocol.slice(0, -1) } });
  const res = new ServerResponse(req);
  const body = new Promise<string>((resolve) => {
    res.end = ((chunk: unknown) => {
      resolve(String(chunk));
      return res;
    }) as typeof res.end;
  });
  await handle(req, res);
  return body;
}
