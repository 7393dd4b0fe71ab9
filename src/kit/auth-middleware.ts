/**
 * Authenticates requests to a service that issues its own sessions and API keys. It tries the
 * session cookie, then the API key, then the certificate of a workload.
 */
import { apiKeyLookup, DEFAULT_KEY_PREFIX, verifyApiKey } from './api-key.js';
import { unauthorized } from './auth-error.js';
import { type AuthContext, anonymous, type RequestLike, type ResolveAuth } from './context.js';
import { createDpopNonces } from './dpop-nonces.js';
import { parseDurationOrThrow } from './duration.js';
import { publicUrl, readAuthorization, readCookie } from './headers.js';
import { type DpopOptions, dpopRequired, verifyDpop } from './possession.js';
import { createMemoryReplayStore } from './replay-store.js';
import { verifySession } from './session.js';
import { createWorkloadVerifier, type WorkloadIdentityOptions } from './workload-identity.js';

/** The key of an agent, as the service stores it. */
export interface AgentCredential {
  id: string;
  name: string;
  /** SHA-256 in hexadecimal. */
  apiKeyHash: string;
  apiKeyPrefix: string;
  permissions: string[];
  revokedAt?: string | Date | null;
  /**
   * The thumbprint of the key that a DPoP proof must be signed with (RFC 9449). Without one, `dpop`
   * accepts any key of the sender.
   */
  jkt?: string | null;
}

export interface AuthConfig {
  session: {
    secret: string;
    /** The maximum age of a session, even if it was signed for longer. */
    maxAge?: string;
    strategy?: 'jwt';
    cookieName?: string;
    /**
     * Requires a DPoP proof with every key in an `Authorization` header. Set `replays` if the
     * service runs as several processes.
     */
    dpop?: boolean | Partial<Pick<DpopOptions, 'replays' | 'nonces' | 'maxAgeSeconds'>>;
  };
  apiKeys?: { prefix?: string; headerName?: string };
  workloadIdentity?: WorkloadIdentityOptions;
  /** The public origin of this service, for DPoP proofs. Default: that of the request URL. */
  origin?: string;
}

export interface AuthDependencies {
  /**
   * Finds an agent by the prefix that `generateApiKey` returned. Reject if the store is
   * unavailable: the request then fails, and is not treated as anonymous.
   */
  findAgentByKeyPrefix?: (prefix: string) => Promise<AgentCredential | null | undefined>;
}

/**
 * Returns a function that authenticates requests. Sessions are verified without a store; keys are
 * looked up on each request. Throws a TypeError for invalid settings.
 */
export function createAuthMiddleware(config: AuthConfig, { findAgentByKeyPrefix }: AuthDependencies = {}): ResolveAuth {
  const { secret, maxAge = '7d', cookieName = 'capstan_session' } = config.session;
  const { prefix = DEFAULT_KEY_PREFIX, headerName = 'Authorization' } = config.apiKeys ?? {};
  if (!secret) throw new TypeError('session.secret is empty');
  const maxAgeSeconds = parseDurationOrThrow('session.maxAge', maxAge);
  const usesAuthorization = headerName.toLowerCase() === 'authorization';
  const { dpop = false } = config.session;
  const dpopOptions: DpopOptions = {
    replays: createMemoryReplayStore(),
    nonces: createDpopNonces({ secret }),
    ...(typeof dpop === 'object' && dpop),
  };
  const workloads = config.workloadIdentity && createWorkloadVerifier(config.workloadIdentity);

  return async function resolveAuth(request) {
    return fromCookie(request) ?? (await fromHeader(request)) ?? (await fromCertificate(request)) ?? anonymous();
  };

  function fromCookie(request: RequestLike): AuthContext | undefined {
    const token = readCookie(request, cookieName);
    const session = token ? verifySession(token, secret) : null;
    if (!session || session.iat + maxAgeSeconds <= Date.now() / 1000) return undefined;
    const { userId, email, role, exp } = session;
    const expiresAt = new Date(exp * 1000);
    return { type: 'human', isAuthenticated: true, via: 'session', byCookie: true, userId, email, role, expiresAt };
  }

  async function fromHeader(request: RequestLike): Promise<AuthContext | undefined> {
    const header = request.headers.get(headerName);
    if (!header) return undefined;
    const credential = usesAuthorization ? readAuthorization(header)?.value : header;
    const keyPrefix = credential ? apiKeyLookup(credential, prefix) : null;
    if (!keyPrefix) return undefined; // not one of our keys: another middleware can support it
    const agent = await findAgentByKeyPrefix?.(keyPrefix);
    if (!agent || agent.revokedAt || !(await verifyApiKey(credential!, agent.apiKeyHash)))
      return anonymous(unauthorized('invalid_token', 'This key is invalid or was revoked.'));
    return checkProof(request, credential!, agent);
  }

  async function checkProof(request: RequestLike, key: string, agent: AgentCredential): Promise<AuthContext> {
    const { id, name, permissions, jkt } = agent;
    const context = {
      type: 'agent',
      isAuthenticated: true,
      via: 'api-key',
      agentId: id,
      agentName: name,
      permissions,
    } as const;
    if (!dpop && !jkt) return context;
    const { method, url, headers } = request;
    const result = await verifyDpop(
      headers.get('dpop') ?? '',
      { method, url: publicUrl(url, config.origin), accessToken: key, boundTo: jkt ?? undefined },
      dpopOptions,
    );
    if (result.ok) return { ...context, jkt: result.jkt };
    return anonymous(dpopRequired(result, dpopOptions.nonces));
  }

  async function fromCertificate(request: RequestLike): Promise<AuthContext | undefined> {
    const workload = workloads?.fromRequest(request);
    if (!workload) return undefined;
    const permissions = (await config.workloadIdentity?.permissionsOf?.(workload.id)) ?? [];
    return { type: 'agent', isAuthenticated: true, via: 'workload', agentId: workload.id, permissions };
  }
}
