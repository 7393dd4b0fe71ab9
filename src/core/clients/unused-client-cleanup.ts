/**
 * Takes away clients that came by themselves, registered or described by a document, and that
 * nobody uses: so that open registration does not fill the store. What administrators and agents
 * made is never touched.
 */

import { addSeconds, type Clock, HOUR_SECONDS } from '../../base/clock.js';
import type { Client, Database, Prisma } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';

/**
 * `unused`: nobody was ever signed in by it. `idle`: nobody has been for long, and nothing that it
 * got is alive.
 */
export type RemovalReason = 'unused' | 'idle';

export interface Due {
  client: Client;
  reason: RemovalReason;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  invalidationBus: InvalidationBus;
  /** 0 is never. */
  unusedSeconds: number;
  idleSeconds: number;
}

const ORIGINS = ['registration', 'document'];
const PAGE_SIZE = 500;
/**
 * Longer than any way through our pages may take, and than it is not noted again that another
 * began.
 */
const UNDER_WAY_SECONDS = 2 * HOUR_SECONDS;

export type UnusedClients = ReturnType<typeof createUnusedClientCleanup>;

export function createUnusedClientCleanup({
  db,
  clock,
  audit,
  oauthStorage,
  invalidationBus,
  unusedSeconds,
  idleSeconds,
}: Deps) {
  return { due, removeUnused };

  /** Those that would go now, the oldest first. */
  async function due(): Promise<Due[]> {
    const found: Due[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await db.client.findMany({
        where: candidates(),
        orderBy: { id: 'asc' },
        take: PAGE_SIZE,
        ...(after !== undefined && { cursor: { id: after }, skip: 1 }),
      });
      found.push(...(await judge(page)));
      if (page.length < PAGE_SIZE) break;
      after = page.at(-1)?.id;
    }
    return found.sort((a, b) => a.client.createdAt.getTime() - b.client.createdAt.getTime());
  }

  /** Takes them away, with all that was granted to them. Returns those that went. */
  async function removeUnused(meta: RequestMeta = systemMeta): Promise<Due[]> {
    const gone: Due[] = [];
    for (const one of await due()) if (await take(one, meta)) gone.push(one);
    return gone;
  }

  function candidates(): Prisma.ClientWhereInput {
    const since = (seconds: number) => ({ lte: addSeconds(clock.now(), -seconds) });
    const [unused, idle] = [since(unusedSeconds), since(idleSeconds)];
    return {
      origin: { in: ORIGINS },
      OR: [
        ...(unusedSeconds > 0 ? [{ lastUsedAt: null, createdAt: unused }] : []),
        ...(idleSeconds > 0 ? [{ lastUsedAt: idle }, { lastUsedAt: null, createdAt: idle }] : []),
      ],
      AND: { OR: [{ lastAuthorizationAt: null }, { lastAuthorizationAt: since(UNDER_WAY_SECONDS) }] },
    };
  }

  async function judge(clients: Client[]): Promise<Due[]> {
    const where = { clientId: { in: clients.map(({ id }) => id) } };
    const living = await db.grant.findMany({
      where: { ...where, expiresAt: { gt: clock.now() } },
      select: { clientId: true },
      distinct: ['clientId'],
    });
    const allowed = await db.consent.findMany({ where, select: { clientId: true }, distinct: ['clientId'] });
    const isIn = (rows: { clientId: string }[]) => (client: Client) =>
      rows.some(({ clientId }) => clientId === client.id);
    const [hasGrant, hasConsent] = [isIn(living), isIn(allowed)];
    return clients
      .filter((client) => !hasGrant(client))
      .flatMap((client) => {
        const reason = reasonFor(client, hasConsent(client));
        return reason ? [{ client, reason }] : [];
      });
  }

  /**
   * Who was allowed something has signed somebody in, even if a crash kept that from being noted.
   */
  function reasonFor({ lastUsedAt, createdAt }: Client, isAllowed: boolean): RemovalReason | undefined {
    const isExpired = (since: Date, seconds: number) => seconds > 0 && since <= addSeconds(clock.now(), -seconds);
    if (!lastUsedAt && !isAllowed && isExpired(createdAt, unusedSeconds)) return 'unused';
    return isExpired(lastUsedAt ?? createdAt, idleSeconds) ? 'idle' : undefined;
  }

  /**
   * False when it is used after all: whoever is let in holds the consent, and whoever begins writes
   * the client's row. So they come before, and it stays, or after, and find it gone.
   */
  async function take({ client: { id, name }, reason }: Due, meta: RequestMeta): Promise<boolean> {
    const kept = new Error('kept');
    try {
      await db.$transaction(async (tx) => {
        const consents = await tx.consent.deleteMany({ where: { clientId: id } });
        if (reason === 'unused' && consents.count > 0) throw kept;
        if ((await tx.grant.count({ where: { clientId: id, expiresAt: { gt: clock.now() } } })) > 0) throw kept;
        const { count } = await tx.client.deleteMany({ where: { ...candidates(), id } });
        if (count === 0) throw kept;
        await oauthStorage.grants.revokeWhere({ clientId: id }, tx);
        const detail = { reason, ...(name && { name }) };
        await audit.record(
          { action: 'client.removed_unused', actor: { kind: 'system' }, clientId: id, meta, detail },
          tx,
        );
      });
    } catch (error) {
      if (error === kept) return false;
      throw error;
    }
    await invalidationBus.publish('clients', id);
    return true;
  }
}
