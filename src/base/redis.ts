/**
 * Opens connections to Redis whose commands fail after two seconds instead of blocking requests.
 */
import { Redis } from 'ioredis';
import { corkUntilNextTurn } from './cork.js';
import type { Log } from './log.js';

export type { Redis } from 'ioredis';

export interface RedisOptions {
  log: Pick<Log, 'info' | 'warn'>;
  /** Prefix of every key, but not of channels. */
  keyPrefix?: string;
}

const COMMAND_TIMEOUT_MS = 2000;
const SOCKET_TIMEOUT_MS = 5000;
const MIN_RETRY_DELAY_MS = 50;
const MAX_RETRY_DELAY_MS = 1000;

/**
 * Connects to Redis. Rejects with a message for the operator if Redis cannot be reached or can
 * evict keys. Later, every command succeeds or fails within 2 s while the client reconnects.
 * Subscribers must subscribe again on each `ready`.
 */
export async function openRedis(url: string, { log, keyPrefix = '' }: RedisOptions): Promise<Redis> {
  const redis = new CorkedRedis(url, {
    keyPrefix,
    lazyConnect: true,
    connectTimeout: COMMAND_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    maxRetriesPerRequest: null, // `commandTimeout` limits the retries
    // Redis can have executed a command whose response was lost. If a command that marks a token as
    // used were sent again, the token would look replayed.
    autoResendUnfulfilledCommands: false,
    // ioredis does not handle a failure of its own SUBSCRIBE, which would end the process.
    autoResubscribe: false,
    retryStrategy: (attempt) =>
      Math.min(MIN_RETRY_DELAY_MS * 2 ** (attempt - 1), MAX_RETRY_DELAY_MS) + Math.random() * 50,
  });
  try {
    await connect(redis, url);
    await requireNoEviction(redis, log);
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

/** Closes the connection. Waits for pending commands if Redis is reachable. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => {});
  redis.disconnect();
}

async function connect(redis: Redis, url: string): Promise<void> {
  // The event has the reason. The promise rejects only with "Connection is closed".
  let connectionError: Error | undefined;
  const onError = (error: Error) => {
    connectionError = error;
  };
  redis.on('error', onError);
  try {
    await redis.connect();
  } catch (error) {
    const { message } = connectionError ?? (error as Error);
    throw new Error(`Redis at ${new URL(url).host} cannot be reached: ${message}`, { cause: error });
  } finally {
    redis.off('error', onError);
  }
}

/** Rejects an eviction policy: Redis could evict a revocation, or the mark of a used token. */
async function requireNoEviction(redis: Redis, log: RedisOptions['log']): Promise<void> {
  const memory = await redis.info('memory').catch(() => '');
  const limitBytes = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1]);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  if (!policy || Number.isNaN(limitBytes)) {
    log.warn('could not read the maxmemory-policy of Redis; make sure that it is noeviction');
  } else if (policy !== 'noeviction' && limitBytes > 0) {
    throw new Error(`Redis must not evict keys: set its maxmemory-policy to noeviction (it is ${policy}).`);
  }
}

/** Logs once when the connection is lost and once when it is back, not for every attempt. */
function logOutages(redis: Redis, log: RedisOptions['log']): void {
  let isLost = false;
  let reason = 'the connection was closed';
  redis.on('error', (error: Error) => {
    reason = error.message;
  });
  redis.on('reconnecting', () => {
    if (!isLost) log.warn({ reason }, 'lost the connection to Redis; reconnecting');
    isLost = true;
  });
  redis.on('ready', () => {
    if (isLost) log.info('restored the connection to Redis');
    isLost = false;
  });
}
