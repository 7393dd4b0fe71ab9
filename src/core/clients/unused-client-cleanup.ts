/**
 * Deletes unused clients that registered themselves or have a metadata document, so that open
 * registration does not fill the database. Clients of administrators and agents are never deleted.
 */

import { addSeconds, type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Client, Database, Prisma } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import { type Audit, SYSTEM } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';

/**
 * `unused`: no user ever signed in with it. `limit`: the same, and there are too many such clients.
 * `idle`: no user has signed in with it for a long time, and it has no active grant.
 */
export type RemovalReason = 'unused' | 'limit' | 'idle';

export interface UnusedClient {
  client: Client;
  reason: RemovalReason;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  invalidationBus: InvalidationBus;
  /** The age at which an unused client is deleted. Zero: never. */
  unusedSeconds: number;
  /** The time without use after which an idle client is deleted. Zero: never. */
  idleSeconds: number;
}

/** Selects clients that no administrator created, and with which no user has signed in. */
export const NEVER_USED = { origin: { in: ['registration', 'document'] }, lastUsedAt: null };

const CLIENTS_PER_PAGE = 500;
/** Protects a client between its registration and the first sign-in. */
const MIN_AGE_SECONDS = HOUR_SECONDS;
/**
 * Protects clients with a recent authorization. Exceeds both the longest interaction and the
 * interval at which `lastAuthorizationAt` is written.
 */
const AUTHORIZATION_GRACE_SECONDS = 2 * HOUR_SECONDS;

export type UnusedClients = ReturnType<typeof createUnusedClientCleanup>;

export function createUnusedClientCleanup({
  db,
  transact,
  clock,
  audit,
  oauthStorage,
  invalidationBus,
  unusedSeconds,
  idleSeconds,
}: Deps) {
  return { find, removeUnused, removeOldest };

  /** Returns the clients that `removeUnused` would delete now, oldest first. */
  async function find(): Promise<UnusedClient[]> {
    const unusedClients: UnusedClient[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await db.client.findMany({
        where: candidateFilter(),
        orderBy: { id: 'asc' },
        take: CLIENTS_PER_PAGE,
        ...(after !== undefined && { cursor: { id: after }, skip: 1 }),
      });
      unusedClients.push(...(await filterUnused(page, reasonFor)));
      if (page.length < CLIENTS_PER_PAGE) break;
      after = page.at(-1)?.id;
    }
    return unusedClients.sort((a, b) => a.client.createdAt.getTime() - b.client.createdAt.getTime());
  }

  /** Deletes unused clients with their grants and consents. Returns the deleted clients. */
  async function removeUnused(meta: RequestMeta = systemMeta): Promise<UnusedClient[]> {
    const removed: UnusedClient[] = [];
    for (const unused of await find()) {
      if (await removeIfUnused(unused, candidateFilter(), meta)) removed.push(unused);
    }
    return removed;
  }

  /**
   * Deletes at most `count` clients that were never used, the oldest first, to make room for new
   * ones. Deletes those with a recent authorization only if there are no others: an attacker can
   * start authorizations to keep a client stored. Returns the number of deleted clients.
   *
   * @param network the network that registered the clients. Default: all networks
   */
  async function removeOldest(count: number, network?: string): Promise<number> {
    let removed = 0;
    for (const filter of removableFilters(network)) {
      const orderBy: Prisma.ClientOrderByWithRelationInput[] = [{ createdAt: 'asc' }, { id: 'asc' }];
      const oldest = await db.client.findMany({ where: filter, orderBy, take: CLIENTS_PER_PAGE });
      for (const unused of await filterUnused(oldest, (_client, hasConsent) => (hasConsent ? undefined : 'limit'))) {
        if (removed >= count) return removed;
        if (await removeIfUnused(unused, filter, systemMeta)) removed += 1;
      }
    }
    return removed;
  }

  function removableFilters(network: string | undefined): Prisma.ClientWhereInput[] {
    const ofNetwork = { ...NEVER_USED, ...(network !== undefined && { network }) };
    return [
      { ...ofNetwork, createdAt: olderThan(MIN_AGE_SECONDS), ...withoutRecentAuthorization() },
      { ...ofNetwork, createdAt: olderThan(AUTHORIZATION_GRACE_SECONDS) },
    ];
  }

  function candidateFilter(): Prisma.ClientWhereInput {
    const [unused, idle] = [olderThan(unusedSeconds), olderThan(idleSeconds)];
    return {
      origin: NEVER_USED.origin,
      OR: [
        ...(unusedSeconds > 0 ? [{ lastUsedAt: null, createdAt: unused }] : []),
        ...(idleSeconds > 0 ? [{ lastUsedAt: idle }, { lastUsedAt: null, createdAt: idle }] : []),
      ],
      AND: withoutRecentAuthorization(),
    };
  }

  function withoutRecentAuthorization(): Prisma.ClientWhereInput {
    return {
      OR: [{ lastAuthorizationAt: null }, { lastAuthorizationAt: olderThan(AUTHORIZATION_GRACE_SECONDS) }],
    };
  }

  function olderThan(seconds: number): { lte: Date } {
    return { lte: addSeconds(clock.now(), -seconds) };
  }

  /** Returns the clients without an active grant for which `reasonOf` returns a reason. */
  async function filterUnused(
    clients: Client[],
    reasonOf: (client: Client, hasConsent: boolean) => RemovalReason | undefined,
  ): Promise<UnusedClient[]> {
    const where = { clientId: { in: clients.map(({ id }) => id) } };
    const grants = await db.grant.findMany({
      where: { ...where, expiresAt: { gt: clock.now() } },
      select: { clientId: true },
      distinct: ['clientId'],
    });
    const consents = await db.consent.findMany({ where, select: { clientId: true }, distinct: ['clientId'] });
    const isClientOf = (rows: { clientId: string }[]) => (client: Client) =>
      rows.some(({ clientId }) => clientId === client.id);
    const [hasGrant, hasConsent] = [isClientOf(grants), isClientOf(consents)];
    return clients
      .filter((client) => !hasGrant(client))
      .flatMap((client) => {
        const reason = reasonOf(client, hasConsent(client));
        return reason ? [{ client, reason }] : [];
      });
  }

  /**
   * Returns the reason to delete a client. A consent proves use, even if a crash lost `lastUsedAt`.
   */
  function reasonFor({ lastUsedAt, createdAt }: Client, hasConsent: boolean): RemovalReason | undefined {
    const isExpired = (since: Date, seconds: number) => seconds > 0 && since <= addSeconds(clock.now(), -seconds);
    if (!lastUsedAt && !hasConsent && isExpired(createdAt, unusedSeconds)) return 'unused';
    return isExpired(lastUsedAt ?? createdAt, idleSeconds) ? 'idle' : undefined;
  }

  /**
   * Deletes the client unless it is in use again. Returns whether it was deleted. A concurrent
   * sign-in locks the consent or writes the client's row, so it prevents the deletion or fails.
   */
  async function removeIfUnused(
    { client: { id, name }, reason }: UnusedClient,
    filter: Prisma.ClientWhereInput,
    meta: RequestMeta,
  ): Promise<boolean> {
    const clientInUse = new Error('the client is in use');
    try {
      await transact(async (uow) => {
        const { tx, afterCommit } = uow;
        const consents = await tx.consent.deleteMany({ where: { clientId: id } });
        if (reason !== 'idle' && consents.count > 0) throw clientInUse;
        if ((await tx.grant.count({ where: { clientId: id, expiresAt: { gt: clock.now() } } })) > 0) throw clientInUse;
        const { count } = await tx.client.deleteMany({ where: { ...filter, id } });
        if (count === 0) throw clientInUse;
        await oauthStorage.grants.revokeWhere({ clientIds: [id] }, tx);
        const detail = { reason, ...(name && { name }) };
        await audit.record(uow, 'client.removed_unused', { by: SYSTEM, clientId: id, meta, detail });
        afterCommit(() => invalidationBus.publish('clients', id));
      });
    } catch (error) {
      if (error === clientInUse) return false;
      throw error;
    }
    return true;
  }
}
