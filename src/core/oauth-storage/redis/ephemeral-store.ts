/** Stores ephemeral entries in Redis: each entry as a hash, each `uid` and user code as a key. */
import type { Redis } from 'ioredis';
import type { Clock } from '../../../base/clock.js';
import type { EntryMetadata, EphemeralStore, Payload, StoredEntry } from '../stores.js';

/**
 * Writes an entry and its pointers, all with the same expiry. It is a script, because a transaction
 * with the same commands costs three times as much.
 */
const PUT_SCRIPT = `
  redis.call('HSET', KEYS[1], 'payload', ARGV[1])
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
  for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[3], 'PXAT', ARGV[2]) end
`;

/** Consumes an entry if it exists and was not consumed, and replaces its payload, atomically. */
const CONSUME_SCRIPT = `
  if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
  if redis.call('HSETNX', KEYS[1], 'consumedAt', ARGV[1]) == 0 then return 0 end
  if ARGV[2] then redis.call('HSET', KEYS[1], 'payload', ARGV[2]) end
  return 1
`;

interface Deps {
  redis: Redis;
  prefix: string;
  clock: Clock;
}

export function createRedisEphemeralStore({ redis, prefix, clock }: Deps): EphemeralStore {
  return { put, get, getByUid, getByUserCode, consume, useOnce, remove };

  async function put(
    kind: string,
    id: string,
    payload: Payload,
    { expiresAt, uid, userCode }: EntryMetadata,
  ): Promise<void> {
    const keys = [keyOf(kind, id)];
    if (uid) keys.push(pointerKey('uid', kind, uid));
    if (userCode) keys.push(pointerKey('user-code', kind, userCode));
    await redis.eval(PUT_SCRIPT, keys.length, ...keys, JSON.stringify(payload), expiresAt.getTime(), id);
  }

  async function get(kind: string, id: string): Promise<StoredEntry | undefined> {
    const [payload, consumedAt] = await redis.hmget(keyOf(kind, id), 'payload', 'consumedAt');
    if (!payload) return undefined;
    return {
      id,
      payload: JSON.parse(payload) as Payload,
      consumedAt: consumedAt ? new Date(Number(consumedAt)) : undefined,
    };
  }

  async function getByUid(kind: string, uid: string): Promise<StoredEntry | undefined> {
    const id = await redis.get(pointerKey('uid', kind, uid));
    return id ? get(kind, id) : undefined;
  }

  async function getByUserCode(kind: string, userCode: string): Promise<StoredEntry | undefined> {
    const id = await redis.get(pointerKey('user-code', kind, userCode));
    return id ? get(kind, id) : undefined;
  }

  async function consume(kind: string, id: string, remaining?: Payload): Promise<boolean> {
    const values = [clock.now().getTime(), ...(remaining ? [JSON.stringify(remaining)] : [])];
    return (await redis.eval(CONSUME_SCRIPT, 1, keyOf(kind, id), ...values)) === 1;
  }

  async function useOnce(kind: string, id: string, expiresAt: Date): Promise<boolean> {
    return (await redis.set(keyOf(kind, id), '', 'PXAT', expiresAt.getTime(), 'NX')) === 'OK';
  }

  async function remove(kind: string, id: string): Promise<void> {
    await redis.unlink(keyOf(kind, id));
  }

  function keyOf(kind: string, id: string): string {
    return `${prefix}${kind}:${id}`;
  }

  function pointerKey(name: string, kind: string, value: string): string {
    return `${prefix}${kind}:by-${name}:${value}`;
  }
}
