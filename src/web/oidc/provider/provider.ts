/**
 * Builds oidc-provider and keeps it up to date: when another key signs, or a scope is added, a new
 * one is built and takes over between two requests. There are two, alike but for the address of
 * their token endpoint.
 */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Provider from 'oidc-provider';
import type { Clock } from '../../../base/clock.js';
import type { Log } from '../../../base/log.js';
import type { RateLimiter } from '../../../base/rate-limiter.js';
import type { Core } from '../../../core/core.js';
import type { LoginCookie } from '../../cookies/login-cookie.js';
import { notifyDecisions } from '../features/ciba-decision.js';
import { registerGrants } from '../grants/grants.js';
import { patchClientAuthentication } from '../patches/client-authentication.js';
import { patchIncrementalScope } from '../patches/incremental-scope.js';
import { patchJwtIntrospection } from '../patches/jwt-introspection.js';
import { patchRegistrationSecret } from '../patches/registration-secret.js';
import { patchReplayDetection } from '../patches/replay-detection.js';
import { patchRevocationContentType } from '../patches/revocation-content-type.js';
import { patchRpInitiatedLogout } from '../patches/rp-initiated-logout.js';
import { patchSessionFollowsLogin } from '../patches/session-follows-login.js';
import { patchSpiffeClientAuth } from '../patches/spiffe-client-auth.js';
import { DISCOVERY, ROUTES, TOKEN_ALIAS } from '../paths.js';
import { internalsOf, type ProviderInternals } from '../provider-internals.js';
import { createClientCache } from '../storage/client-cache.js';
import type { ClientResolver } from '../storage/client-resolver.js';
import { type ConfigurationDeps, createProviderConfiguration } from './configuration.js';
import { listen } from './events.js';

interface Deps extends Omit<ConfigurationDeps, 'tokenPath' | 'core'> {
  core: ConfigurationDeps['core'] &
    Pick<Core, 'audit' | 'clientUsage' | 'delegations' | 'activeAgents' | 'oauthTokens' | 'sessions'>;
  resolveClient: ClientResolver;
  clock: Clock;
  loginCookie: LoginCookie;
  rateLimiter: RateLimiter;
  log: Log;
}

/** Two providers and the two documents that do not change while they live. */
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
  const { config, core, clock, resolveClient, loginCookie, rateLimiter, log, secrets } = deps;
  let version = '';
  let generation: Promise<ProviderGeneration> | undefined;
  let built: { version: string; generation: ProviderGeneration } | undefined;

  return { current, ready };

  /** The providers for this moment. */
  function current(): Promise<ProviderGeneration> {
    const wanted = wantedVersion();
    if (wanted !== version || !generation) {
      version = wanted;
      generation = build();
      generation.then(
        (done) => {
          built = { version: wanted, generation: done };
        },
        () => {
          version = ''; // tried again with the next request
        },
      );
    }
    return generation;
  }

  /** The same without waiting; undefined while they are being built. */
  function ready(): ProviderGeneration | undefined {
    return built?.version === wantedVersion() ? built.generation : undefined;
  }

  function wantedVersion(): string {
    return `${core.keys.set().version} ${core.resources.version()}`;
  }

  async function build(): Promise<ProviderGeneration> {
    const [main, alias] = [buildOne(ROUTES.token), buildOne(TOKEN_ALIAS)];
    const handleMain = main.callback();
    return {
      main,
      handleMain,
      handleAlias: alias.callback(),
      discovery: await ask(handleMain, DISCOVERY[0], config.issuer),
      jwks: await ask(handleMain, ROUTES.jwks, config.issuer),
    };
  }

  function buildOne(tokenPath: string): Provider {
    const provider = new Provider(config.issuer, createProviderConfiguration({ ...deps, tokenPath }));
    provider.proxy = true; // the headers that it reads then are ours: see middleware/pin-issuer
    registerGrants(provider, { ...core, clock });
    listen(provider, { ...core, log });
    applyPatches(internalsOf(provider));
    return provider;
  }

  /** Where the protocol engine does otherwise than was promised: each line's file says why. */
  function applyPatches(internals: ProviderInternals): void {
    patchSessionFollowsLogin(internals, loginCookie, secrets);
    patchClientAuthentication(internals, core);
    patchIncrementalScope(internals, core.resources);
    createClientCache(internals, resolveClient);
    patchReplayDetection(internals, core.oauthStorage);
    patchJwtIntrospection(internals, core);
    patchSpiffeClientAuth(internals, { issuer: config.issuer, workloadIdentities: core.workloadIdentities });
    notifyDecisions(internals, { ...core, rateLimiter });
    patchRegistrationSecret(internals, core.clients);
    patchRevocationContentType(internals);
    patchRpInitiatedLogout(internals, { sessions: core.sessions, loginCookie });
  }
}

/** What a handler answers to a GET, asked without a network. */
async function ask(handle: RequestHandler, path: string, issuer: string): Promise<string> {
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
