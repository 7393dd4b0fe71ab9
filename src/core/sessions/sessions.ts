/** Sessions: one row for each sign-in, by any method. revocation.ts revokes them. */

import { addSeconds, type Clock, HOUR_SECONDS } from '../../base/clock.js';
import { randomToken, sha256, uuidv7 } from '../../base/crypto.js';
import type { Account, Database, Queryable, Session } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { AuthenticatedSession } from './authenticated-session.js';
import { mergeAmr } from './authentication-methods.js';
import { deviceHash } from './devices.js';
import { createSessionRevocation } from './revocation.js';

export type { Session } from '../../base/db/open.js';
export type { AuthenticatedSession } from './authenticated-session.js';

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  oauthStorage: OAuthStorage;
  invalidationBus: InvalidationBus;
  /** The time after which an unused browser session expires. */
  idleSeconds: number;
  /** The maximum lifetime of a session, however often it is used or refreshed. */
  maxSeconds: number;
  /** The number of active sessions of one account. */
  maxSessions: number;
}

/** The shortest interval between two updates of `lastSeenAt`. */
const USAGE_INTERVAL_SECONDS = HOUR_SECONDS;

const BY_LAST_USE = createPageOrder({ list: 'sessions', date: 'lastSeenAt', key: 'id', direction: 'desc' });

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(deps: Deps) {
  const { db, transact, clock, audit, invalidationBus, idleSeconds, maxSeconds } = deps;
  const { revoke, revokeOthers, revokeAll, revokeExcess, onRevoked } = createSessionRevocation(deps);
  const cache = createTtlCache<Session & { account: Account }>({ clock });
  for (const topic of ['accounts', 'sessions']) invalidationBus.on(topic, () => cache.invalidate());

  return {
    open,
    openForTokens,
    extend,
    absoluteExpiry,
    renew,
    reauthenticate,
    changed,
    findByToken,
    find,
    findOwn,
    list,
    rememberClient,
    revoke,
    revokeOthers,
    revokeAll,
    revokeExcess,
    onRevoked,
  };

  /** Creates a browser session. The token is for its cookie only. */
  async function open(account: Account, amr: string[], meta: RequestMeta, tx: Queryable = db) {
    const token = randomToken();
    const data = newRow(account, amr, meta, idleSeconds);
    const session = await tx.session.create({ data: { ...data, channel: 'browser', tokenHash: sha256(token) } });
    return { session, token };
  }

  /**
   * Creates a session for the tokens of tokens.ts. It expires after `seconds` without a refresh.
   */
  async function openForTokens(account: Account, amr: string[], seconds: number, meta: RequestMeta, tx: Queryable) {
    return tx.session.create({ data: { ...newRow(account, amr, meta, seconds), channel: 'json' } });
  }

  function newRow(account: Account, amr: string[], meta: RequestMeta, seconds: number) {
    const now = clock.now();
    return {
      id: uuidv7(now),
      accountId: account.id,
      authTime: now,
      amr,
      address: meta.address,
      userAgent: meta.userAgent.slice(0, 400),
      deviceHash: deviceHash(account.id, meta),
      createdAt: now,
      lastSeenAt: now,
      expiresAt: addSeconds(now, Math.min(seconds, maxSeconds)),
    };
  }

  /**
   * Extends an active session to `seconds` from now, at most to its absolute expiry. Returns the
   * new expiry, or undefined if the session has expired or was revoked.
   */
  async function extend({ id, createdAt }: Session, seconds: number): Promise<Date | undefined> {
    const now = clock.now();
    const expiresAt = earlier(addSeconds(now, seconds), absoluteExpiry({ createdAt }));
    const where = { id, endedAt: null, expiresAt: { gt: now } };
    const { count } = await db.session.updateMany({ where, data: { lastSeenAt: now, expiresAt } });
    return count === 1 ? expiresAt : undefined;
  }

  /** Returns when a session with tokens expires, however often it is refreshed. */
  function absoluteExpiry({ createdAt }: Pick<Session, 'createdAt'>): Date {
    return addSeconds(createdAt, maxSeconds);
  }

  /**
   * Renews a browser session whose user signed in again, with a new token. Call `changed` after the
   * commit.
   */
  async function renew({ session }: AuthenticatedSession, amr: string[], tx: Queryable = db) {
    const now = clock.now();
    const token = randomToken();
    const renewed = await tx.session.update({
      where: { id: session.id },
      data: {
        tokenHash: sha256(token),
        authTime: now,
        amr,
        lastSeenAt: now,
        expiresAt: addSeconds(now, Math.min(idleSeconds, maxSeconds)),
      },
    });
    return { session: renewed, token };
  }

  /**
   * Records a re-authentication (step-up). The session keeps its token and its earlier
   * authentication methods.
   */
  async function reauthenticate(
    { session, amr: previousAmr }: AuthenticatedSession,
    amr: string[],
    meta: RequestMeta,
  ): Promise<void> {
    const { id, accountId } = session;
    await transact(async ({ tx, afterCommit }) => {
      await tx.session.updateMany({
        where: { id, endedAt: null },
        data: { authTime: clock.now(), amr: mergeAmr(previousAmr, amr) },
      });
      const event = { by: accountId, accountId, sessionId: id, meta, detail: { amr } };
      await audit.record({ tx }, 'session.reauthenticated', event);
      afterCommit(() => changed(id));
    });
  }

  /** Invalidates the caches of a session in every process, so that its old token is rejected. */
  async function changed(id: string): Promise<void> {
    await invalidationBus.publish('sessions', id);
  }

  /**
   * Returns the active session of a browser's cookie. Caches it for a second, but a revocation
   * invalidates the cache of every process.
   */
  async function findByToken(token: string): Promise<AuthenticatedSession | undefined> {
    const tokenHash = sha256(token);
    return activeOnly(
      await cache.getOrLoad(tokenHash, async () => {
        return (await db.session.findUnique({ where: { tokenHash }, include: { account: true } })) ?? undefined;
      }),
    );
  }

  /** Returns the active session with this id, always from the database. */
  async function find(id: string): Promise<AuthenticatedSession | undefined> {
    return activeOnly(await db.session.findUnique({ where: { id }, include: { account: true } }));
  }

  /** Returns a page of the active sessions of an account, the last used first. */
  async function list(accountId: string, page: PageRequest): Promise<Page<Session>> {
    const rows = await db.session.findMany({
      where: { accountId, ...active(), ...BY_LAST_USE.after(page) },
      orderBy: BY_LAST_USE.orderBy,
      take: BY_LAST_USE.take(page),
    });
    return BY_LAST_USE.toPage(rows, page);
  }

  /** Returns an active session of an account by its id. */
  async function findOwn(accountId: string, id: string): Promise<Session | undefined> {
    return (await db.session.findFirst({ where: { id, accountId, ...active() } })) ?? undefined;
  }

  function active() {
    return { endedAt: null, expiresAt: { gt: clock.now() } };
  }

  /** Stores a client that takes part in the session, for back-channel logout. */
  async function rememberClient(sessionId: string, clientId: string): Promise<void> {
    const key = { sessionId, clientId };
    await db.sessionClient.upsert({ where: { sessionId_clientId: key }, create: key, update: { clientId } });
  }

  async function activeOnly(
    row: (Session & { account: Account }) | null | undefined,
  ): Promise<AuthenticatedSession | undefined> {
    const now = clock.now();
    if (!row || row.endedAt || row.expiresAt <= now || row.account.status !== 'active') return undefined;
    if (row.account.notBefore && row.createdAt < row.account.notBefore) return undefined;
    const { account, ...session } = row;
    if (session.lastSeenAt <= addSeconds(now, -USAGE_INTERVAL_SECONDS)) await recordUse(session, now);
    return { session, account, amr: session.amr as string[] };
  }

  async function recordUse(session: Session, now: Date): Promise<void> {
    const isBrowser = session.channel === 'browser'; // `extend` extends sessions with tokens
    const expiresAt = earlier(addSeconds(now, idleSeconds), addSeconds(session.authTime, maxSeconds));
    const data = { lastSeenAt: now, ...(isBrowser && { expiresAt }) };
    await db.session.updateMany({ where: { id: session.id, endedAt: null }, data });
  }
}

const earlier = (a: Date, b: Date) => (a < b ? a : b);
