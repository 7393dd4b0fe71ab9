/**
 * Resolves every kind of credential to a principal. Each route decides which principals it accepts.
 * Active sessions, grants, keys and accounts are read from the stores, through a cache of at most
 * one second that changes invalidate. If a store is unavailable, every credential is rejected with
 * 503.
 */
import type { X509Certificate } from 'node:crypto';
import { unauthorized } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import { sha256 } from '../../base/crypto.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { ActiveAgents } from '../agents/active-agents.js';
import type { ApiKeys } from '../api-keys/api-keys.js';
import { formatOf, KEY_FORMATS, looksLikeKey } from '../api-keys/formats.js';
import type { KeyUsage } from '../api-keys/usage.js';
import type { Tokens } from '../sessions/tokens.js';
import type { ExternalTokens } from './external-tokens.js';
import type { OAuthTokens } from './oauth-tokens.js';
import type { Principal, WorkloadPrincipal } from './principal.js';
import type { PresentedProof, ProofOfPossession } from './proof-of-possession.js';
import type { WorkloadIdentities } from './workload-identities.js';

interface Deps {
  tokens: Pick<Tokens, 'verify' | 'inspect'>;
  oauthTokens: OAuthTokens;
  externalTokens: ExternalTokens;
  proofOfPossession: ProofOfPossession;
  workloadIdentities: WorkloadIdentities;
  apiKeys: Pick<ApiKeys, 'verify'>;
  activeAgents: Pick<ActiveAgents, 'findByKey'>;
  apiKeyUsage: Pick<KeyUsage, 'count'>;
}

/** Topics whose changes can invalidate a credential. */
const INVALIDATING_TOPICS = [
  'accounts',
  'agents',
  'api-keys',
  'clients',
  'consents',
  'grants',
  'keys',
  'organizations',
  'sessions',
  'tokens',
];
const MAX_CREDENTIAL_LENGTH = 8192;
/** The expiry of a credential that never expires: the latest possible `Date`. */
const NEVER = new Date(8.64e15);

export type Credentials = ReturnType<typeof createCredentialResolver>;

export function createCredentialResolver({ clock, invalidationBus }: Base, deps: Deps) {
  const {
    tokens,
    oauthTokens,
    externalTokens,
    proofOfPossession,
    workloadIdentities,
    apiKeys,
    activeAgents,
    apiKeyUsage,
  } = deps;
  const cache = createTtlCache<Principal | 'expired'>({ clock });
  for (const topic of INVALIDATING_TOPICS) invalidationBus.on(topic, () => cache.invalidate());

  return { resolve, resolveCertificate, nextNonce: proofOfPossession.nextNonce, refreshTokenPrincipal };

  /**
   * Returns the principal of a credential. Throws `expired_token`, `invalid_token`, or the errors
   * of proof of possession. The principal is cached; the proof is verified with each request.
   *
   * @param audience accepted in OAuth access tokens besides our own API; cached separately
   */
  async function resolve(credential: string, presentation: PresentedProof = {}, audience?: string): Promise<Principal> {
    // Hashed separately: a crafted credential must not collide with another pair.
    const cacheKey = audience === undefined ? sha256(credential) : `${sha256(credential)} ${sha256(audience)}`;
    const found =
      credential.length > MAX_CREDENTIAL_LENGTH
        ? undefined
        : await cache.getOrLoad(cacheKey, () => resolveKind(credential, audience));
    if (found === undefined) throw unauthorized('invalid_token', 'This token is invalid or has been revoked.');
    if (found === 'expired' || found.expiresAt <= clock.now())
      throw unauthorized('expired_token', 'This token has expired.');
    await proofOfPossession.check(credential, 'boundTo' in found ? found.boundTo : undefined, presentation);
    if (found.kind === 'api-key') apiKeyUsage.count(found.key.id);
    return found;
  }

  /**
   * Returns the workload of a client certificate; undefined if the certificate has no SPIFFE ID.
   * Throws `invalid_token` if its SPIFFE ID is not valid.
   */
  function resolveCertificate(chain: X509Certificate[]): WorkloadPrincipal | undefined {
    const [certificate] = chain;
    if (!certificate || !workloadIdentities.hasSpiffeId(certificate)) return undefined;
    const verdict = workloadIdentities.fromCertificate(chain);
    if (verdict.kind === 'invalid') throw unauthorized('invalid_token', `Client certificate: ${verdict.reason}.`);
    return { kind: 'workload', account: undefined, spiffeId: verdict.spiffeId.id, expiresAt: verdict.expiresAt };
  }

  /** Returns the active session of a refresh token, without using the token up. */
  async function refreshTokenPrincipal(refreshToken: string | undefined): Promise<Principal | undefined> {
    const authenticated = refreshToken ? await tokens.inspect(refreshToken) : undefined;
    return (
      authenticated && {
        kind: 'session',
        account: authenticated.account,
        authenticated,
        responseId: '',
        expiresAt: authenticated.session.expiresAt,
      }
    );
  }

  async function resolveKind(credential: string, audience?: string): Promise<Principal | 'expired' | undefined> {
    if (looksLikeKey(credential)) return resolveKey(credential);
    // The claimed issuer decides first: a token is never tried with the keys of another issuer.
    const externalIssuer = externalTokens.issuerOf(credential);
    if (externalIssuer) return externalTokens.verify(credential, externalIssuer);
    const use = await tokens.verify(credential);
    if (use === 'expired') return use;
    if (use) return { kind: 'session', account: use.authenticated.account, ...use };
    return oauthTokens.verify(credential, audience);
  }

  async function resolveKey(credential: string): Promise<Principal | 'expired' | undefined> {
    if (formatOf(credential)?.prefix === KEY_FORMATS.ocs_live.prefix) return resolveAgent(credential);
    const use = await apiKeys.verify(credential);
    if (!use || use === 'expired') return use;
    return { kind: 'api-key', ...use, expiresAt: use.key.expiresAt ?? NEVER };
  }

  async function resolveAgent(key: string): Promise<Principal | 'expired' | undefined> {
    const agent = await activeAgents.findByKey(key);
    if (!agent || agent === 'expired') return agent;
    return { kind: 'agent', agent, by: 'key', scopes: agent.capabilities, expiresAt: agent.expiresAt ?? NEVER };
  }
}
