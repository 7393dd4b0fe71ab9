/** The common part of the transports. */

/** A transport to the other processes. It does not deliver its own messages. */
export interface Transport {
  send(topic: string, id: string | undefined): Promise<void>;
  close(): Promise<void>;
}

/** The receiver of a transport's messages. */
export interface Subscriber {
  onMessage(topic: string, id: string | undefined): void;
  /** Called when messages can have been lost during an interruption. */
  onMissedMessages(): void;
}

interface Message {
  from: string;
  topic: string;
  id?: string | undefined;
}

/** Encodes a message with the id of its sender. */
export function encode(message: Message): string {
  return JSON.stringify(message);
}

/** Delivers a message, unless this process sent it. An unknown message counts as a change, too. */
export function deliver(text: string, me: string, subscriber: Subscriber): void {
  const message = decode(text);
  if (!message) subscriber.onMissedMessages();
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
