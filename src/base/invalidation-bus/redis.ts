/** Messages through Redis: publishes on one connection, subscribes on another. */
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

const PING_EVERY_MS = 10_000;

export async function createRedisTransport({ redisUrl, redisPrefix, subscriber, log }: Deps): Promise<Transport> {
  const me = randomUUID();
  const channel = `${redisPrefix}announcements`;
  const publisher = await openRedis(redisUrl, { log });
  const connection = await openRedis(redisUrl, { log });
  connection.on('message', (_channel: string, text: string) => deliver(text, me, subscriber));
  connection.on('ready', resubscribe);
  await connection.subscribe(channel);
  // A connection that died in silence is noticed only by who writes to it.
  const pinging = setInterval(() => void connection.ping().catch(() => {}), PING_EVERY_MS).unref();

  return {
    async send(topic, id) {
      await publisher.publish(channel, encode({ from: me, topic, id }));
    },
    async close() {
      clearInterval(pinging);
      await Promise.all([closeRedis(publisher), closeRedis(connection)]);
    },
  };

  async function resubscribe(): Promise<void> {
    try {
      await connection.subscribe(channel);
      subscriber.onMissedMessages();
    } catch {
      if (connection.status === 'ready') connection.disconnect(true); // which makes it `ready` once more
    }
  }
}
