/** The interface of the transports, and the encoding of their messages. */

/** A transport to the other processes. It delivers no message to the process that sent it. */
export interface Transport {
  /** `id`: the record that changed. Undefined: all records of the topic. */
  send(topic: string, id: string | undefined): Promise<void>;
  close(): Promise<void>;
}

/** The receiver of a transport's messages. */
export interface Subscriber {
  onMessage(topic: string, id: string | undefined): void;
  /** Called if messages were not received: after an interruption, or if one cannot be decoded. */
  onMissedMessages(): void;
}

interface Message {
  /** The id of the sending process. */
  from: string;
  topic: string;
  id?: string | undefined;
}

/** Encodes a message as text. */
export function encode(message: Message): string {
  return JSON.stringify(message);
}

/**
 * Delivers a message, unless this process sent it. A message that cannot be decoded invalidates
 * everything: it can come from another version of this server.
 */
export function deliver(text: string, ownProcessId: string, subscriber: Subscriber): void {
  const message = decode(text);
  if (!message) subscriber.onMissedMessages();
  else if (message.from !== ownProcessId) subscriber.onMessage(message.topic, message.id);
}

function decode(text: string): Message | undefined {
  try {
    const { from, topic, id } = JSON.parse(text);
    return typeof topic === 'string' ? { from, topic, id: typeof id === 'string' ? id : undefined } : undefined;
  } catch {
    return undefined;
  }
}
