/**
 * Sessions: one row for each login, through whatever door it came. How they end stands in
 * endings.ts.
 */

import { addSeconds, type Clock, HOUR_SECONDS } from '../../base/clock.js';
import { randomToken, sha256, uuidv7 } from '../../base/crypto.js';
import type { Account, Database, Queryable, Session } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { RequestMeta } from '../request-meta.js';
import { mergeAmr } from './authentication-methods.js';
import { deviceHash } from './devices.js';
import { createSessionRevocation } from './revocation.js';

export type { Session } from '../../base/db/open.js';

/** A living login and whose it is. */
export interface AuthenticatedSession {
  session: Session;
  account: Account;
  /** How the person proved who they are (RFC 8176). */
  amr: string[];
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  oauthStorage: OAuthStorage;
  invalidationBus: InvalidationBus;
  /** How long a browser's sign-in lasts without use, and when it ends for good; in seconds. */
  idleSeconds: number;
  maxSeconds: number;
}

/** A login's use is noted at most this often. */
const USAGE_INTERVAL_SECONDS = HOUR_SECONDS;

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(deps: Deps) {
  const { db, transact, clock, audit, invalidationBus, idleSeconds, maxSeconds } = deps;
  const { revoke, revokeOthers, revokeAll, onRevoked } = createSessionRevocation(deps);
  const recent = createTtlCache<Session & { account: Account }>({ clock });
  for (const topic of ['accounts', 'sessions']) invalidationBus.on(topic, () => recent.invalidate());

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
    list,
    rememberClient,
    revoke,
    revokeOthers,
    revokeAll,
    onRevoked,
  };

  /** Opens a login in a browser. The token goes into its cookie, and nowhere else. */
  async function open(account: Account, amr: string[], meta: RequestMeta, tx: Queryable = db) {
    const token = randomToken();
    const data = newRow(account, amr, meta, idleSeconds);
    const session = await tx.session.create({ data: { ...data, channel: 'browser', tokenHash: sha256(token) } });
    return { session, token };
  }

  /**
   * Opens a login that lives by the tokens of core/sessions/tokens, for as long as they are renewed
   * in time.
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
   * A login that is used lives on for so many seconds, at most until SESSION_MAX. Returns until
   * when; nothing when it has ended.
   */
  async function extend({ id, createdAt }: Session, seconds: number): Promise<Date | undefined> {
    const now = clock.now();
    const expiresAt = earlier(addSeconds(now, seconds), absoluteExpiry({ createdAt }));
    const where = { id, endedAt: null, expiresAt: { gt: now } };
    const { count } = await db.session.updateMany({ where, data: { lastSeenAt: now, expiresAt } });
    return count === 1 ? expiresAt : undefined;
  }

  /** When a login that lives by its tokens ends, however often they are renewed. */
  function absoluteExpiry({ createdAt }: Pick<Session, 'createdAt'>): Date {
    return addSeconds(createdAt, maxSeconds);
  }

  /**
   * The same person proved again who they are: the login goes on under a new token. Tell with
   * `changed` after the commit.
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
   * The person proved again who they are, in the middle of a login (step-up): it goes on under the
   * same token. What was proved before still counts.
   */
  async function reauthenticate(
    { session, amr: before }: AuthenticatedSession,
    amr: string[],
    meta: RequestMeta,
  ): Promise<void> {
    const { id, accountId } = session;
    await transact(async ({ tx, afterCommit }) => {
      await tx.session.updateMany({
        where: { id, endedAt: null },
        data: { authTime: clock.now(), amr: mergeAmr(before, amr) },
      });
      const actor = { kind: 'account' as const, id: accountId };
      const detail = { amr };
      await audit.record({ action: 'session.reauthenticated', actor, accountId, sessionId: id, meta, detail }, tx);
      afterCommit(() => changed(id));
    });
  }

  /** Tells every process that a login is not what it was: its old token is refused from then on. */
  async function changed(id: string): Promise<void> {
    await invalidationBus.publish('sessions', id);
  }

  /**
   * The login that a browser's cookie stands for, if it lives, or lived a second ago; each process
   * is told when it ends.
   */
  async function findByToken(token: string): Promise<AuthenticatedSession | undefined> {
    const tokenHash = sha256(token);
    return activeOnly(
      await recent.getOrLoad(tokenHash, async () => {
        return (await db.session.findUnique({ where: { tokenHash }, include: { account: true } })) ?? undefined;
      }),
    );
  }

  async function find(id: string): Promise<AuthenticatedSession | undefined> {
    return activeOnly(await db.session.findUnique({ where: { id }, include: { account: true } }));
  }

  /** The living logins of an account, the one that was used last first. */
  async function list(accountId: string): Promise<Session[]> {
    return db.session.findMany({
      where: { accountId, endedAt: null, expiresAt: { gt: clock.now() } },
      orderBy: [{ lastSeenAt: 'desc' }, { id: 'desc' }],
    });
  }

  /** Notes a client that is to be told when this login ends. */
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
    const browsers = session.channel === 'browser'; // the others live by their tokens: see prolong
    const expiresAt = earlier(addSeconds(now, idleSeconds), addSeconds(session.authTime, maxSeconds));
    const data = { lastSeenAt: now, ...(browsers && { expiresAt }) };
    await db.session.updateMany({ where: { id: session.id, endedAt: null }, data });
  }
}

const earlier = (one: Date, other: Date) => (one < other ? one : other);
