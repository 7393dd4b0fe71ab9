/**
 * Grants: one for each authorization, the family of all tokens that came of it. Nothing of a family
 * is valid without its grant, and every use asks for it; so deleting the grant ends the family at
 * once, wherever its tokens are stored.
 */

import type { Clock } from '../../base/clock.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { AuditAction } from '../audit/events.js';
import type { RequestMeta } from '../request-meta.js';
import type { FastPaths } from './postgresql.js';
import type { Payload } from './store.js';
import type { NewGrant } from './token-family.js';

export interface StoredGrant extends Omit<NewGrant, 'sessionId' | 'consented'> {
  sessionId: string | null;
}

/** Which grants end. */
export type GrantSelection =
  | { id: string }
  | { sessionId: string; offline?: false }
  | { accountId: string; clientId?: string }
  /** All of an account but those of one login. */
  | { accountId: string; exceptSessionId: string }
  | { clientId: string };

/** Why a single family ends, as the audit trail calls it. */
export type RevocationCause = Extract<AuditAction, 'code.replayed' | 'refresh_token.replayed' | 'token.revoked'>;

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  fast: FastPaths | undefined;
}

export type Grants = ReturnType<typeof createGrants>;

/** Whatever of these changes, grants may have ended with it. Each is announced after its commit. */
const ENDING_TOPICS = ['accounts', 'clients', 'consents', 'grants', 'sessions'];

export function createGrants({ db, clock, audit, invalidationBus, fast }: Deps) {
  const recent = createTtlCache<StoredGrant>({ clock });
  for (const topic of ENDING_TOPICS) invalidationBus.on(topic, () => recent.invalidate());

  return { save, open, find, revokeWhere, revoke, list };

  /**
   * False when the login that it comes from has ended meanwhile, or the consent: then nothing may
   * come of it any more.
   */
  async function save(newGrant: NewGrant): Promise<boolean> {
    return fast ? fast.saveGrant(newGrant, clock.now()) : db.$transaction((tx) => write(newGrant, tx));
  }

  /**
   * The grant of a login that the same transaction opens: nobody else knows of it yet, so there is
   * nothing to hold.
   */
  async function open({ payload, consented: _none, ...grant }: NewGrant, tx: Queryable): Promise<void> {
    const data = { ...grant, payload: payload as Prisma.InputJsonObject, createdAt: clock.now() };
    await tx.grant.create({ data });
  }

  async function write({ payload, consented, ...grant }: NewGrant, tx: Queryable): Promise<boolean> {
    const row = { ...grant, payload: payload as Prisma.InputJsonObject };
    if (grant.sessionId && !(await lockSession(grant.sessionId, tx))) return false;
    if (consented && !(await lockConsent(grant, tx))) return false;
    await tx.grant.upsert({ where: { id: grant.id }, create: { ...row, createdAt: clock.now() }, update: row });
    return true;
  }

  /**
   * Whether the login has not ended. Locks its row, so that it ends before this transaction or
   * finds what came of it.
   */
  async function lockSession(sessionId: string, tx: Queryable): Promise<boolean> {
    const { count } = await tx.session.updateMany({
      where: { id: sessionId, endedAt: null },
      data: { endedAt: null },
    });
    return count === 1;
  }

  /** The same for the consent that it rests on. */
  async function lockConsent(
    { accountId, clientId }: Pick<NewGrant, 'accountId' | 'clientId'>,
    tx: Queryable,
  ): Promise<boolean> {
    const { count } = await tx.consent.updateMany({ where: { accountId, clientId }, data: { clientId } });
    return count === 1;
  }

  /**
   * The grant, if it lives, or lived a second ago; every process is also told at once when one has
   * ended.
   */
  async function find(id: string): Promise<StoredGrant | undefined> {
    const grant = await recent.getOrLoad(id, async () => {
      const row = fast ? await fast.findGrant(id) : await db.grant.findUnique({ where: { id } });
      return row ? { ...row, payload: row.payload as Payload } : undefined;
    });
    return grant && grant.expiresAt > clock.now() ? grant : undefined;
  }

  /**
   * Ends the families; their refresh tokens go with them. Returns how many there were. Part of a
   * verb that announces its own topic when it has committed.
   */
  async function revokeWhere(selection: GrantSelection, tx: Queryable): Promise<number> {
    const { count } = await tx.grant.deleteMany({ where: toWhere(selection) });
    return count;
  }

  /** Ends one family, and writes down why. A family that has ended already stays unmentioned. */
  async function revoke(id: string, cause: RevocationCause, meta: RequestMeta): Promise<void> {
    await db.$transaction(async (tx) => {
      const grant = await tx.grant.findUnique({ where: { id } });
      if (!grant || (await revokeWhere({ id }, tx)) === 0) return;
      const { accountId, clientId, sessionId } = grant;
      const actor = { kind: 'client' as const, id: clientId };
      await audit.record({ action: cause, actor, accountId, clientId, sessionId: sessionId ?? undefined, meta }, tx);
    });
    await invalidationBus.publish('grants', id);
  }

  /** The living grants of an account, the newest first. */
  async function list(accountId: string): Promise<StoredGrant[]> {
    const rows = await db.grant.findMany({
      where: { accountId, expiresAt: { gt: clock.now() } },
      orderBy: [{ createdAt: 'desc' }, { id: 'asc' }],
    });
    return rows.map((row) => ({ ...row, payload: row.payload as Payload }));
  }
}

function toWhere(selection: GrantSelection): Prisma.GrantWhereInput {
  if (!('exceptSessionId' in selection)) return selection;
  const { accountId, exceptSessionId } = selection;
  return { accountId, OR: [{ sessionId: null }, { sessionId: { not: exceptSessionId } }] };
}
