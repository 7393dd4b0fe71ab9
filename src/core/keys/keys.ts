/**
 * The signing keys: made at first start, stored encrypted, published as a JWK set, replaced in
 * stages without a restart.
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { addSeconds, type Clock, DAY_SECONDS, MINUTE_SECONDS } from '../../base/clock.js';
import type { Secrets } from '../../base/crypto.js';
import type { Database, Prisma, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';

export const SIGNING_ALGORITHMS = ['ES256', 'RS256'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A private key with its place in the rotation. */
export interface SigningKey {
  kid: string;
  algorithm: SigningAlgorithm;
  jwk: JWK;
  signsFrom: Date;
  retiredAt: Date | null;
  expiresAt: Date | null;
}

/**
 * All keys that are published now. `version` changes whenever another key begins to sign or the
 * published set changes.
 */
export interface KeySet {
  version: string;
  /** Private keys; of each algorithm the one that signs comes first. */
  keys: SigningKey[];
}

interface Deps {
  db: Database;
  secrets: Secrets;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  /** After how many seconds a key is replaced. */
  rotationSeconds: number;
  /** How long what it signed can still be presented, in seconds. */
  signatureSeconds: () => number;
}

/**
 * A key is published this long before it signs, so that every verifier's copy of the set has it by
 * then.
 */
export const PUBLISH_LEAD_SECONDS = 10 * MINUTE_SECONDS;
const PURPOSE = 'signing-keys';
const RSA_BITS = 2048;

export type Keys = Awaited<ReturnType<typeof createKeys>>;

export async function createKeys({
  db,
  secrets,
  clock,
  audit,
  invalidationBus,
  rotationSeconds,
  signatureSeconds,
}: Deps) {
  let stored: SigningKey[] = [];
  let current: KeySet = { version: '', keys: [] };
  let recomputeAt = 0;
  let reading: Promise<void> = Promise.resolve();

  invalidationBus.on('keys', () => void reload().catch(() => {})); // the next rotation or announcement asks again
  await ensure();
  return { set, signer, rotate, rotateIfDue, sweep, list, reload };

  /**
   * The keys as they stand at this moment. Cheap: recomputed only when a stage begins or the keys
   * changed.
   */
  function set(): KeySet {
    const now = clock.now();
    if (now.getTime() >= recomputeAt) arrange(now);
    return current;
  }

  /** The key that signs with this algorithm now. */
  function signer(algorithm: SigningAlgorithm): SigningKey {
    const found = set().keys.find((key) => key.algorithm === algorithm);
    if (!found) throw new Error(`There is no signing key for ${algorithm}`);
    return found;
  }

  /**
   * Begins a rotation: new keys are published at once and sign after PUBLISH_LEAD_SECONDS; the old
   * ones sign until then and stay published until nothing that they signed can be alive. With
   * `atOnce` the new keys sign from now on, and the old ones are no longer published: for a key
   * that leaked. Returns the new key ids.
   */
  async function rotate({
    atOnce = false,
    meta = systemMeta,
  }: {
    atOnce?: boolean;
    meta?: RequestMeta;
  } = {}): Promise<string[]> {
    const fresh = await Promise.all(SIGNING_ALGORITHMS.map(makeKey));
    const kids = await db.$transaction(async (tx) => {
      await lock(tx);
      return replace(tx, fresh, atOnce, meta);
    });
    await changed();
    return kids;
  }

  /**
   * Rotates when the youngest key is older than the setting says. Several processes may ask at
   * once: one does it.
   */
  async function rotateIfDue(): Promise<boolean> {
    const due = addSeconds(clock.now(), -rotationSeconds);
    if (stored.some((key) => key.signsFrom > due)) return false;
    const fresh = await Promise.all(SIGNING_ALGORITHMS.map(makeKey));
    const rotated = await db.$transaction(async (tx) => {
      await lock(tx);
      if ((await tx.signingKey.count({ where: { signsFrom: { gt: due } } })) > 0) return false;
      await replace(tx, fresh, false, systemMeta);
      return true;
    });
    await changed();
    return rotated;
  }

  /** Deletes keys that are no longer published. Returns how many. */
  async function sweep(): Promise<number> {
    const gone = stored.filter((key) => key.expiresAt && key.expiresAt <= clock.now());
    if (gone.length === 0) return 0;
    const count = await db.$transaction(async (tx) => {
      let deleted = 0;
      for (const key of gone) {
        const { count } = await tx.signingKey.deleteMany({ where: { kid: key.kid } });
        if (count === 1)
          await audit.record({ action: 'key.retired', actor: { kind: 'system' }, detail: describe(key) }, tx);
        deleted += count;
      }
      return deleted;
    });
    await changed();
    return count;
  }

  /** Public facts about every key, the newest first. */
  async function list() {
    const rows = await db.signingKey.findMany({ orderBy: [{ signsFrom: 'desc' }, { kid: 'asc' }] });
    const signing = new Set(SIGNING_ALGORITHMS.map((algorithm) => signer(algorithm).kid));
    return rows.map(({ kid, algorithm, createdAt, signsFrom, retiredAt, expiresAt }) => ({
      kid,
      algorithm,
      createdAt,
      signsFrom,
      retiredAt,
      expiresAt,
      signs: signing.has(kid),
    }));
  }

  /** One after the other: a slow reading must not come after a newer one and undo it. */
  function reload(): Promise<void> {
    reading = reading.catch(() => {}).then(read);
    return reading;
  }

  async function read(): Promise<void> {
    const rows = await db.signingKey.findMany({ orderBy: [{ signsFrom: 'desc' }, { kid: 'asc' }] });
    stored = await Promise.all(
      rows.map(async (row) => ({
        kid: row.kid,
        algorithm: row.algorithm as SigningAlgorithm,
        jwk: JSON.parse(await secrets.open(PURPOSE, row.encryptedPrivateJwk)) as JWK,
        signsFrom: row.signsFrom,
        retiredAt: row.retiredAt,
        expiresAt: row.expiresAt,
      })),
    );
    arrange(clock.now());
  }

  /** Makes the first keys. Two processes that start together on one database make one set. */
  async function ensure(): Promise<void> {
    await reload();
    const missing = () => SIGNING_ALGORITHMS.filter((algorithm) => !stored.some((key) => key.algorithm === algorithm));
    if (missing().length === 0) return;
    const fresh = await Promise.all(missing().map(makeKey));
    await db.$transaction(async (tx) => {
      await lock(tx);
      for (const key of fresh) {
        if ((await tx.signingKey.count({ where: { algorithm: key.algorithm } })) > 0) continue;
        await tx.signingKey.create({ data: { ...key, createdAt: clock.now(), signsFrom: clock.now() } });
        await audit.record({ action: 'key.created', actor: { kind: 'system' }, detail: describe(key) }, tx);
      }
    });
    await reload();
  }

  async function replace(
    tx: Queryable,
    fresh: Awaited<ReturnType<typeof makeKey>>[],
    atOnce: boolean,
    meta: RequestMeta,
  ) {
    const now = clock.now();
    const signsFrom = atOnce ? now : addSeconds(now, PUBLISH_LEAD_SECONDS);
    const expiresAt = atOnce ? now : addSeconds(signsFrom, signatureSeconds() + DAY_SECONDS);
    // A key that had not begun to sign yet never will.
    await tx.signingKey.updateMany({ where: { retiredAt: null }, data: { retiredAt: signsFrom, expiresAt } });
    if (atOnce)
      await tx.signingKey.updateMany({ where: { expiresAt: { gt: now } }, data: { retiredAt: now, expiresAt: now } });
    for (const key of fresh) {
      await tx.signingKey.create({ data: { ...key, createdAt: now, signsFrom } });
      await audit.record(
        { action: 'key.rotated', actor: { kind: 'system' }, meta, detail: { ...describe(key), atOnce } },
        tx,
      );
    }
    return fresh.map((key) => key.kid);
  }

  async function makeKey(algorithm: SigningAlgorithm) {
    const { privateKey } = await generateKeyPair(algorithm, { modulusLength: RSA_BITS, extractable: true });
    const jwk = await exportJWK(privateKey);
    const kid = await calculateJwkThumbprint(jwk);
    const privateJwk = { ...jwk, kid, alg: algorithm, use: 'sig' };
    const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...publicJwk } = privateJwk;
    return {
      kid,
      algorithm,
      publicJwk: publicJwk as Prisma.InputJsonObject,
      encryptedPrivateJwk: await secrets.seal(PURPOSE, JSON.stringify(privateJwk)),
    };
  }

  function arrange(now: Date): void {
    const published = stored.filter((key) => !key.expiresAt || key.expiresAt > now);
    const rank = (key: SigningKey) => (key.signsFrom > now ? 1 : key.retiredAt && key.retiredAt <= now ? 2 : 0);
    const keys = published.sort((a, b) => rank(a) - rank(b) || b.signsFrom.getTime() - a.signsFrom.getTime());
    current = { keys, version: keys.map((key) => key.kid).join(' ') };
    const stages = stored.flatMap((key) => [key.signsFrom, key.retiredAt, key.expiresAt]);
    const ahead = stages.filter((at): at is Date => at !== null && at > now).map((at) => at.getTime());
    recomputeAt = Math.min(...ahead, Number.POSITIVE_INFINITY);
  }

  async function changed(): Promise<void> {
    await reload();
    await invalidationBus.publish('keys');
  }
}

/** One rotation at a time, also across processes: whoever holds the row goes first. */
async function lock(tx: Queryable): Promise<void> {
  await tx.cacheVersion.upsert({
    where: { topic: 'keys' },
    create: { topic: 'keys' },
    update: { version: { increment: 1 } },
  });
}

const describe = ({ kid, algorithm }: { kid: string; algorithm: string }) => ({ kid, algorithm });
