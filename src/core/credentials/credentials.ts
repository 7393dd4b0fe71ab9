/**
 * The one place where what a request carries becomes a principal. It recognises every kind of
 * credential; which of them may do what is said by each route. Whether a credential is alive is
 * asked, not guessed: login or grant alive, account active, nothing revoked, from the stores,
 * behind a memory of at most a second that is told at once. If a store cannot be asked, nobody is
 * anybody: 503.
 */
import type { X509Certificate } from 'node:crypto';
import { unauthorized } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { sha256 } from '../../base/crypto.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
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
  clock: Clock;
  invalidationBus: InvalidationBus;
  tokens: Tokens;
  oauthTokens: OAuthTokens;
  externalTokens: ExternalTokens;
  proofOfPossession: ProofOfPossession;
  workloadIdentities: WorkloadIdentities;
  apiKeys: Pick<ApiKeys, 'verify'>;
  activeAgents: Pick<ActiveAgents, 'findByKey'>;
  keyUsage: Pick<KeyUsage, 'count'>;
}

/**
 * Whatever of these changes, a credential may be worth nothing from then on. Each is announced
 * after its commit.
 */
const ENDING_TOPICS = [
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
const MAX_LENGTH = 8192;
const NEVER = new Date(8.64e15);

export type Credentials = ReturnType<typeof createCredentials>;

export function createCredentials({
  clock,
  invalidationBus,
  tokens,
  oauthTokens,
  externalTokens,
  proofOfPossession,
  workloadIdentities,
  apiKeys,
  activeAgents,
  keyUsage,
}: Deps) {
  const recent = createTtlCache<Principal | 'expired'>({ clock });
  for (const topic of ENDING_TOPICS) invalidationBus.on(topic, () => recent.invalidate());

  return { resolve, resolveCertificate, nextNonce: proofOfPossession.nextNonce, refreshTokenPrincipal };

  /**
   * Refuses with `expired_token` or `invalid_token`. `presentation` is what came along: without it,
   * a token that is bound to something is refused. Who somebody is may be remembered for a moment;
   * whether they have what their token is bound to is proven each time.
   *
   * @param audience for whom a token of an app may be, beside our own API: what it proves there
   *   is known apart
   */
  async function resolve(credential: string, presentation: PresentedProof = {}, audience?: string): Promise<Principal> {
    // Two texts, kept apart: joined, one could be written so that it is remembered as the other
    // two.
    const name = audience === undefined ? sha256(credential) : `${sha256(credential)} ${sha256(audience)}`;
    const found =
      credential.length > MAX_LENGTH
        ? undefined
        : await recent.getOrLoad(name, () => resolveKind(credential, audience));
    if (found === undefined) throw unauthorized('invalid_token', 'This token is not valid, or no longer.');
    if (found === 'expired' || found.expiresAt <= clock.now())
      throw unauthorized('expired_token', 'This token has expired.');
    await proofOfPossession.check(credential, 'boundTo' in found ? found.boundTo : undefined, presentation);
    if (found.kind === 'api-key') keyUsage.count(found.key.id);
    return found;
  }

  /**
   * The workload whose certificate it is; undefined where it is nobody's who is known by one.
   * Refuses with `invalid_token`.
   */
  function resolveCertificate(chain: X509Certificate[]): WorkloadPrincipal | undefined {
    const [certificate] = chain;
    if (!certificate || !workloadIdentities.hasSpiffeId(certificate)) return undefined;
    const verdict = workloadIdentities.fromCertificate(chain);
    if (verdict.kind === 'invalid') throw unauthorized('invalid_token', `Client certificate: ${verdict.reason}.`);
    return { kind: 'workload', account: undefined, spiffeId: verdict.spiffeId.id, expiresAt: verdict.expiresAt };
  }

  /** The living login that a refresh token belongs to; the token is not spent by this. */
  async function refreshTokenPrincipal(refreshToken: string | undefined): Promise<Principal | undefined> {
    const login = refreshToken ? await tokens.inspect(refreshToken) : undefined;
    return login && { kind: 'login', account: login.account, login, answerId: '', expiresAt: login.session.expiresAt };
  }

  async function resolveKind(credential: string, audience?: string): Promise<Principal | 'expired' | undefined> {
    if (looksLikeKey(credential)) return resolveKey(credential);
    // Whose it says it is comes first: a token of theirs is never tried as one of ours, nor the
    // other way round.
    const elsewhere = externalTokens.issuerOf(credential);
    if (elsewhere) return externalTokens.verify(credential, elsewhere);
    const use = await tokens.verify(credential);
    if (use === 'expired') return use;
    if (use) return { kind: 'login', account: use.login.account, ...use };
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
