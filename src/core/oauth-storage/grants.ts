/**
 * Grants. Each authorization has one, which is the root of its token family. Every use of a token
 * looks up its grant. Deleting the grant therefore revokes the whole family immediately, wherever
 * its tokens are stored.
 */
import type { Clock } from '../../base/clock.js';
import type { Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { AuditAction } from '../audit/events.js';
import type { GrantSelection, GrantStore, StoredGrant } from './stores.js';

/** The reason for revoking one token family, as the name of an audit event. */
export type RevocationCause = Extract<AuditAction, 'code.replayed' | 'refresh_token.replayed' | 'token.revoked'>;

interface Deps {
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  store: GrantStore;
}

export type Grants = ReturnType<typeof createGrants>;

/** Topics of changes that can revoke grants. They are published after the commit. */
const REVOKING_TOPICS = ['accounts', 'clients', 'consents', 'grants', 'sessions'];

export function createGrants({ transact, clock, audit, invalidationBus, store }: Deps) {
  const cache = createTtlCache<StoredGrant>({ clock });
  for (const topic of REVOKING_TOPICS) invalidationBus.on(topic, () => cache.invalidate());

  return { save: store.save, open: store.insert, find, revokeWhere, revoke, list: store.list };

  /** Returns a grant unless it was revoked or has expired. Caches it until a revocation. */
  async function find(id: string): Promise<StoredGrant | undefined> {
    const grant = await cache.getOrLoad(id, () => store.find(id));
    return grant && grant.expiresAt > clock.now() ? grant : undefined;
  }

  /**
   * Revokes grants with their refresh tokens and returns the number of grants. The caller must
   * publish one of `REVOKING_TOPICS` after the commit.
   */
  async function revokeWhere(selection: GrantSelection, tx: Queryable): Promise<number> {
    return store.deleteWhere(selection, tx);
  }

  /** Revokes one token family and audits the cause. Does nothing if it was revoked already. */
  async function revoke(id: string, cause: RevocationCause, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx } = uow;
      uow.afterCommit(() => invalidationBus.publish('grants', id));
      const grant = await store.find(id, tx);
      if (!grant || (await store.deleteWhere({ id }, tx)) === 0) return;
      const { accountId, clientId, sessionId } = grant;
      const by = { kind: 'client' as const, id: clientId };
      await audit.record(uow, cause, { by, accountId, clientId, sessionId: sessionId ?? undefined, meta });
    });
  }
}
