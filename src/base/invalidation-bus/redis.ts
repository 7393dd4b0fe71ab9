/** Announcements through Redis: publish on one connection, subscribe on another. */
import { randomUUID } from 'node:crypto';
import type { Log } from '../log.js';
import { closeRedis, openRedis } from '../redis.js';
import { deliver, type Ears, encode, type Relay } from './transport.js';

interface Needs {
  redisUrl: string;
  redisPrefix: string;
  ears: Ears;
  log: Pick<Log, 'info' | 'warn'>;
}

const PING_EVERY_MS = 10_000;

export async function redisRelay({ redisUrl, redisPrefix, ears, log }: Needs): Promise<Relay> {
  const me = randomUUID();
  const channel = `${redisPrefix}announcements`;
  const publisher = await openRedis(redisUrl, { log });
  const subscriber = await openRedis(redisUrl, { log });
  subscriber.on('message', (_channel: string, text: string) => deliver(text, me, ears));
  subscriber.on('ready', subscribeAgain);
  await subscriber.subscribe(channel);
  // A connection that died in silence is noticed only by who writes to it.
  const pinging = setInterval(() => void subscriber.ping().catch(() => {}), PING_EVERY_MS).unref();

  return {
    async send(topic, id) {
      await publisher.publish(channel, encode({ from: me, topic, id }));
    },
    async close() {
      clearInterval(pinging);
      await Promise.all([closeRedis(publisher), closeRedis(subscriber)]);
    },
  };

  async function subscribeAgain(): Promise<void> {
    try {
      await subscriber.subscribe(channel);
      ears.missed();
    } catch {
      if (subscriber.status === 'ready') subscriber.disconnect(true); // which makes it `ready` once more
    }
  }
}
