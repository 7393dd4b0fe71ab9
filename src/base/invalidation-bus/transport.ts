/** What the ways to the other processes have in common. */

/** A way to the other processes. It never brings back what it sent itself. */
export interface Transport {
  send(topic: string, id: string | undefined): Promise<void>;
  close(): Promise<void>;
}

/** Where a relay delivers. */
export interface Subscriber {
  onMessage(topic: string, id: string | undefined): void;
  /** Something may have been announced while nobody was connected. */
  onGap(): void;
}

interface Message {
  from: string;
  topic: string;
  id?: string | undefined;
}

export function encode(message: Message): string {
  return JSON.stringify(message);
}

/**
 * Delivers a message, unless it is our own. One that is not understood means that something
 * changed, too.
 */
export function deliver(text: string, me: string, subscriber: Subscriber): void {
  const message = decode(text);
  if (!message) subscriber.onGap();
  else if (message.from !== me) subscriber.onMessage(message.topic, message.id);
}

function decode(text: string): Message | undefined {
  try {
    const { from, topic, id } = JSON.parse(text);
    return typeof topic === 'string' ? { from, topic, id: typeof id === 'string' ? id : undefined } : undefined;
  } catch {
    return undefined;
  }
}
