/**
 * A service that keeps its own sessions and keys: who is behind a request, by its session cookie,
 * else by its API key, else by the certificate of a workload, else nobody.
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

/** A key of an agent, as the service stores it. */
export interface AgentCredential {
  id: string;
  name: string;
  /** SHA-256, hexadecimal. */
  apiKeyHash: string;
  apiKeyPrefix: string;
  permissions: string[];
  revokedAt?: string | Date | null;
  /**
   * The thumbprint of the key that must be proved with it (RFC 9449); without one, `dpop` takes any
   * key of the sender.
   */
  jkt?: string | null;
}

export interface AuthConfig {
  session: {
    secret: string;
    /** A session is refused when it is older, whatever was signed into it. */
    maxAge?: string;
    strategy?: 'jwt';
    cookieName?: string;
    /**
     * Whoever sends an `Authorization` header must send a DPoP proof with it. Give `replays` where
     * there are several processes.
     */
    dpop?: boolean | Partial<Pick<DpopOptions, 'replays' | 'nonces' | 'maxAgeSeconds'>>;
  };
  apiKeys?: { prefix?: string; headerName?: string };
  workloadIdentity?: WorkloadIdentityOptions;
  /**
   * The origin that the world knows this service by, for what DPoP proofs name. Else that of the
   * request's URL.
   */
  origin?: string;
}

export interface AuthDependencies {
  /**
   * By the prefix that `generateApiKey` gave. When the store cannot be asked, reject: nobody is let
   * in then.
   */
  findAgentByKeyPrefix?: (prefix: string) => Promise<AgentCredential | null | undefined>;
}

/**
 * Throws a TypeError for settings that cannot work. Sessions are not looked up anywhere; keys are,
 * each time.
 */
export function createAuthMiddleware(config: AuthConfig, { findAgentByKeyPrefix }: AuthDependencies = {}): ResolveAuth {
  const { secret, maxAge = '7d', cookieName = 'capstan_session' } = config.session;
  const { prefix = DEFAULT_KEY_PREFIX, headerName = 'Authorization' } = config.apiKeys ?? {};
  if (!secret) throw new TypeError('session.secret is empty');
  const maxAgeSeconds = parseDurationOrThrow('session.maxAge', maxAge);
  const inAuthorization = headerName.toLowerCase() === 'authorization';
  const { dpop = false } = config.session;
  const proofs: DpopOptions = {
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
    const credential = inAuthorization ? readAuthorization(header)?.value : header;
    const lookup = credential ? apiKeyLookup(credential, prefix) : null;
    if (!lookup) return undefined; // not one of ours: perhaps for somebody else
    const agent = await findAgentByKeyPrefix?.(lookup);
    if (!agent || agent.revokedAt || !(await verifyApiKey(credential!, agent.apiKeyHash)))
      return anonymous(unauthorized('invalid_token', 'This key is not valid, or no longer.'));
    return withProof(request, credential!, agent);
  }

  async function withProof(request: RequestLike, key: string, agent: AgentCredential): Promise<AuthContext> {
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
    const checked = await verifyDpop(
      headers.get('dpop') ?? '',
      { method, url: publicUrl(url, config.origin), accessToken: key, boundTo: jkt ?? undefined },
      proofs,
    );
    if (checked.ok) return { ...context, jkt: checked.jkt };
    return anonymous(dpopRequired(checked, proofs.nonces));
  }

  async function fromCertificate(request: RequestLike): Promise<AuthContext | undefined> {
    const workload = workloads?.fromRequest(request);
    if (!workload) return undefined;
    const permissions = (await config.workloadIdentity?.permissionsOf?.(workload.id)) ?? [];
    return { type: 'agent', isAuthenticated: true, via: 'workload', agentId: workload.id, permissions };
  }
}
