/**
 * Signing keys: created at the first start, stored encrypted, published as a JWK Set, and rotated
 * in stages without a restart.
 */
import { addSeconds, type Clock, DAY_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import { type Audit, SYSTEM } from '../audit/audit.js';
import {
  makeSigningKey,
  openSigningKey,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  type SigningKey,
} from './signing-key.js';

/** The published keys. `version` changes with the set or with the current signing key. */
export interface KeySet {
  version: string;
  /** Private keys; the current signing key of each algorithm comes first. */
  keys: SigningKey[];
}

interface Deps {
  db: Database;
  transact: Transact;
  secrets: Secrets;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  /** The age at which a key is rotated. */
  rotationSeconds: number;
  /** Returns the longest lifetime of a signed token. */
  signatureSeconds: () => number;
}

/** Time between publishing a key and signing with it, so that every verifier can fetch it. */
export const PUBLISH_LEAD_SECONDS = 10 * MINUTE_SECONDS;

export type Keys = Awaited<ReturnType<typeof createKeys>>;

export async function createKeys({
  db,
  transact,
  secrets,
  clock,
  audit,
  invalidationBus,
  rotationSeconds,
  signatureSeconds,
}: Deps) {
  let storedKeys: SigningKey[] = [];
  let currentSet: KeySet = { version: '', keys: [] };
  let recomputeAt = 0;
  let lastRead: Promise<void> = Promise.resolve();

  invalidationBus.on('keys', () => void reload().catch(() => {})); // the cleanup job reloads again
  await createMissingKeys();
  return { set, signer, rotate, rotateIfDue, sweep, list, reload };

  /** Returns the current keys. Recomputes them only at the next transition of a key. */
  function set(): KeySet {
    const now = clock.now();
    if (now.getTime() >= recomputeAt) recompute(now);
    return currentSet;
  }

  /** Returns the current signing key of an algorithm. */
  function signer(algorithm: SigningAlgorithm): SigningKey {
    const signingKey = set().keys.find((key) => key.algorithm === algorithm);
    if (!signingKey) throw new Error(`There is no signing key for ${algorithm}`);
    return signingKey;
  }

  /**
   * Starts a rotation: publishes new keys, which sign after PUBLISH_LEAD_SECONDS. The old keys sign
   * until then and stay published until every token signed with them has expired. With `atOnce`,
   * for a leaked key, the new keys sign now and the old ones are no longer published. Returns the
   * new key ids.
   */
  async function rotate({
    atOnce = false,
    meta = systemMeta,
  }: {
    atOnce?: boolean;
    meta?: RequestMeta;
  } = {}): Promise<string[]> {
    const newKeys = await Promise.all(SIGNING_ALGORITHMS.map(createSigningKey));
    const kids = await transact(async (uow) => {
      await lockRotations(uow.tx);
      return replaceKeys(uow, newKeys, atOnce, meta);
    });
    await reloadEverywhere();
    return kids;
  }

  /**
   * Rotates if the newest key is older than the rotation interval. Returns whether it rotated:
   * only one of several concurrent calls does.
   */
  async function rotateIfDue(): Promise<boolean> {
    const cutoff = addSeconds(clock.now(), -rotationSeconds);
    if (storedKeys.some((key) => key.signsFrom > cutoff)) return false;
    const newKeys = await Promise.all(SIGNING_ALGORITHMS.map(createSigningKey));
    const rotated = await transact(async (uow) => {
      await lockRotations(uow.tx);
      if ((await uow.tx.signingKey.count({ where: { signsFrom: { gt: cutoff } } })) > 0) return false;
      await replaceKeys(uow, newKeys, false, systemMeta);
      return true;
    });
    await reloadEverywhere();
    return rotated;
  }

  /** Deletes keys that are no longer published. Returns their number. */
  async function sweep(): Promise<number> {
    const expired = storedKeys.filter((key) => key.expiresAt && key.expiresAt <= clock.now());
    if (expired.length === 0) return 0;
    const count = await transact(async (uow) => {
      let deleted = 0;
      for (const key of expired) {
        const { count } = await uow.tx.signingKey.deleteMany({ where: { kid: key.kid } });
        if (count === 1) await audit.record(uow, 'key.retired', { by: SYSTEM, detail: auditDetail(key) });
        deleted += count;
      }
      return deleted;
    });
    await reloadEverywhere();
    return count;
  }

  /** Returns every key without its private part, newest first. */
  async function list() {
    const rows = await db.signingKey.findMany({ orderBy: [{ signsFrom: 'desc' }, { kid: 'asc' }] });
    const signingKids = new Set(SIGNING_ALGORITHMS.map((algorithm) => signer(algorithm).kid));
    return rows.map(({ kid, algorithm, createdAt, signsFrom, retiredAt, expiresAt }) => ({
      kid,
      algorithm,
      createdAt,
      signsFrom,
      retiredAt,
      expiresAt,
      signs: signingKids.has(kid),
    }));
  }

  /** Reads the keys again. Reads are serialized: a slow one must not overwrite a newer one. */
  function reload(): Promise<void> {
    lastRead = lastRead.catch(() => {}).then(readKeys);
    return lastRead;
  }

  async function readKeys(): Promise<void> {
    const rows = await db.signingKey.findMany({ orderBy: [{ signsFrom: 'desc' }, { kid: 'asc' }] });
    storedKeys = await Promise.all(rows.map((row) => openSigningKey(row, secrets)));
    recompute(clock.now());
  }

  /** Creates the first keys, once, even if several processes start at the same time. */
  async function createMissingKeys(): Promise<void> {
    await reload();
    const missingAlgorithms = () =>
      SIGNING_ALGORITHMS.filter((algorithm) => !storedKeys.some((key) => key.algorithm === algorithm));
    if (missingAlgorithms().length === 0) return;
    const newKeys = await Promise.all(missingAlgorithms().map(createSigningKey));
    await transact(async (uow) => {
      const { tx } = uow;
      await lockRotations(tx);
      for (const key of newKeys) {
        if ((await tx.signingKey.count({ where: { algorithm: key.algorithm } })) > 0) continue;
        await tx.signingKey.create({ data: { ...key, createdAt: clock.now(), signsFrom: clock.now() } });
        await audit.record(uow, 'key.created', { by: SYSTEM, detail: auditDetail(key) });
      }
    });
    await reload();
  }

  async function replaceKeys(
    uow: UnitOfWork,
    newKeys: Awaited<ReturnType<typeof makeSigningKey>>[],
    atOnce: boolean,
    meta: RequestMeta,
  ) {
    const { tx } = uow;
    const now = clock.now();
    const signsFrom = atOnce ? now : addSeconds(now, PUBLISH_LEAD_SECONDS);
    const expiresAt = atOnce ? now : addSeconds(signsFrom, signatureSeconds() + DAY_SECONDS);
    // A key that has not signed yet is retired too, and never signs.
    await tx.signingKey.updateMany({ where: { retiredAt: null }, data: { retiredAt: signsFrom, expiresAt } });
    if (atOnce)
      await tx.signingKey.updateMany({ where: { expiresAt: { gt: now } }, data: { retiredAt: now, expiresAt: now } });
    for (const key of newKeys) {
      await tx.signingKey.create({ data: { ...key, createdAt: now, signsFrom } });
      await audit.record(uow, 'key.rotated', { by: SYSTEM, meta, detail: { ...auditDetail(key), atOnce } });
    }
    return newKeys.map((key) => key.kid);
  }

  function createSigningKey(algorithm: SigningAlgorithm) {
    return makeSigningKey(algorithm, secrets);
  }

  function recompute(now: Date): void {
    const published = storedKeys.filter((key) => !key.expiresAt || key.expiresAt > now);
    // Current signing keys come first, then upcoming and retired ones.
    const rank = (key: SigningKey) => (key.signsFrom > now ? 1 : key.retiredAt && key.retiredAt <= now ? 2 : 0);
    const keys = published.sort((a, b) => rank(a) - rank(b) || b.signsFrom.getTime() - a.signsFrom.getTime());
    currentSet = { keys, version: keys.map((key) => key.kid).join(' ') };
    const transitions = storedKeys.flatMap((key) => [key.signsFrom, key.retiredAt, key.expiresAt]);
    const upcoming = transitions
      .filter((time): time is Date => time !== null && time > now)
      .map((time) => time.getTime());
    recomputeAt = Math.min(...upcoming, Number.POSITIVE_INFINITY);
  }

  /** Reloads here, then invalidates the other processes' copies. Must follow the commit. */
  async function reloadEverywhere(): Promise<void> {
    await reload();
    await invalidationBus.publish('keys');
  }
}

/** Locks one row until the transaction ends, which serializes rotations across processes. */
async function lockRotations(tx: Queryable): Promise<void> {
  await tx.cacheVersion.upsert({
    where: { topic: 'keys' },
    create: { topic: 'keys' },
    update: { version: { increment: 1 } },
  });
}

const auditDetail = ({ kid, algorithm }: { kid: string; algorithm: string }) => ({ kid, algorithm });
