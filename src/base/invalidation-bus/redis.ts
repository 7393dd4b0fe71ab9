/**
 * Sends messages through Redis. It publishes on one connection and subscribes on another, because
 * Redis does not accept other commands on a subscribed connection.
 */
import { randomUUID } from 'node:crypto';
import type { Log } from '../log.js';
import { closeRedis, openRedis } from '../redis.js';
import { deliver, encode, type Subscriber, type Transport } from './transport.js';

interface Deps {
  redisUrl: string;
  redisPrefix: string;
  subscriber: Subscriber;
  log: Pick<Log, 'info' | 'warn'>;
}

const PING_INTERVAL_MS = 10_000;

/** Connects to Redis and subscribes. Rejects if it cannot connect; later, it reconnects. */
export async function createRedisTransport({ redisUrl, redisPrefix, subscriber, log }: Deps): Promise<Transport> {
  const senderId = randomUUID();
  const channel = `${redisPrefix}announcements`;
  const publisher = await openRedis(redisUrl, { log });
  const subscription = await openRedis(redisUrl, { log });
  subscription.on('message', (_channel: string, text: string) => deliver(text, senderId, subscriber));
  subscription.on('ready', resubscribe);
  await subscription.subscribe(channel);
  // Only a command reveals that the network dropped the connection without closing it.
  const pingTimer = setInterval(() => void subscription.ping().catch(() => {}), PING_INTERVAL_MS).unref();

  return {
    async send(topic, id) {
      await publisher.publish(channel, encode({ from: senderId, topic, id }));
    },
    async close() {
      clearInterval(pingTimer);
      await Promise.all([closeRedis(publisher), closeRedis(subscription)]);
    },
  };

  async function resubscribe(): Promise<void> {
    try {
      await subscription.subscribe(channel);
      subscriber.onMissedMessages();
    } catch {
      // Reconnects, so that `ready` is emitted again and this function runs once more.
      if (subscription.status === 'ready') subscription.disconnect(true);
    }
  }
}
