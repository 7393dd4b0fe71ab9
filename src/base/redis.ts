/** A connection to Redis whose commands fail soon instead of blocking requests. */
import { Redis } from 'ioredis';
import { corkUntilNextTurn } from './cork.js';
import type { Log } from './log.js';

export type { Redis } from 'ioredis';

export interface RedisOptions {
  log: Pick<Log, 'info' | 'warn'>;
  /** Prefix of every key, but not of channels. */
  keyPrefix?: string;
}

const RESPONSE_TIMEOUT_MS = 2000;
const SOCKET_TIMEOUT_MS = 5000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 1000;

/**
 * Connects to Redis. Rejects with a message for the operator if Redis cannot be reached or can
 * evict keys. Later, every command succeeds or fails within 2 s while the client reconnects.
 * Subscribers must subscribe again on each `ready`.
 */
export async function openRedis(url: string, { log, keyPrefix = '' }: RedisOptions): Promise<Redis> {
  const redis = new CorkedRedis(url, {
    keyPrefix,
    lazyConnect: true,
    connectTimeout: RESPONSE_TIMEOUT_MS,
    commandTimeout: RESPONSE_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    maxRetriesPerRequest: null, // only the timeout decides
    // A command without a response may have been executed. If it were sent again, a single-use mark
    // would look like a replay.
    autoResendUnfulfilledCommands: false,
    // ioredis ignores the promise of that command, so its rejection would end the process.
    autoResubscribe: false,
    retryStrategy: (attempt) => Math.min(RETRY_FIRST_MS * 2 ** (attempt - 1), RETRY_LAST_MS) + Math.random() * 50,
  });
  try {
    await connect(redis, url);
    await rejectEvictionPolicy(redis, log);
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  logOutages(redis, log);
  return redis;
}

/** Sends the commands of one turn of the event loop in one system call. */
class CorkedRedis extends Redis {
  override sendCommand(...command: Parameters<Redis['sendCommand']>): unknown {
    if (this.stream) corkUntilNextTurn(this.stream);
    return super.sendCommand(...command);
  }
}

/** Closes the connection after pending commands, unless it is down. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => {});
  redis.disconnect();
}

async function connect(redis: Redis, url: string): Promise<void> {
  let reason: Error | undefined;
  const remember = (error: Error) => {
    reason = error;
  };
  redis.on('error', remember);
  try {
    await redis.connect();
  } catch (error) {
    const { message } = reason ?? (error as Error);
    throw new Error(`Redis at ${new URL(url).host} cannot be reached: ${message}`, { cause: error });
  } finally {
    redis.off('error', remember);
  }
}

/** Checks the eviction policy: an evicted key could be a revocation or the mark of a used token. */
async function rejectEvictionPolicy(redis: Redis, log: RedisOptions['log']): Promise<void> {
  const memory = await redis.info('memory').catch(() => '');
  const limitBytes = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1]);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  if (!policy || Number.isNaN(limitBytes)) {
    log.warn('Redis does not tell its maxmemory-policy: make sure that it is noeviction.');
  } else if (policy !== 'noeviction' && limitBytes > 0) {
    throw new Error(`Redis must not evict keys: set its maxmemory-policy to noeviction (it is ${policy}).`);
  }
}

/** Logs once when the connection is lost and once when it is back, not for every attempt. */
function logOutages(redis: Redis, log: RedisOptions['log']): void {
  let lost = false;
  let reason = 'the connection was closed';
  redis.on('error', (error: Error) => {
    reason = error.message;
  });
  redis.on('reconnecting', () => {
    if (!lost) log.warn({ reason }, 'Redis is lost; reconnecting');
    lost = true;
  });
  redis.on('ready', () => {
    if (lost) log.info('Redis is back');
    lost = false;
  });
}
