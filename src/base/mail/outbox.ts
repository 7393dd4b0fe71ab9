/** Stores messages as files, readable only by the user that runs the server. For development. */
import { mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import { uuidv7 } from '../crypto.js';
import type { OutgoingMessage } from './smtp.js';

export interface StoredMessage {
  /** The time of sending, as ISO 8601 text. */
  at: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}

const MAX_STORED = 200;

export type Outbox = ReturnType<typeof createOutbox>;

/** Returns an outbox that stores messages in `folder`, which it creates with the first message. */
export function createOutbox({ folder, clock }: { folder: string; clock: Clock }) {
  return { folder, deliver, list };

  /** Stores a message, and deletes the oldest ones beyond `MAX_STORED`. */
  async function deliver({ to, subject, text, html }: OutgoingMessage): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const at = clock.now();
    const message: StoredMessage = { at: at.toISOString(), to: to.address, subject, text, html };
    await writeFile(join(folder, `${uuidv7(at)}.json`), JSON.stringify(message, null, 2), { flag: 'wx', mode: 0o600 });
    // Another process can delete the same files at the same time.
    for (const name of (await fileNames()).slice(MAX_STORED)) await unlink(join(folder, name)).catch(() => {});
  }

  /** Returns messages, newest first. */
  async function list(limit = 50): Promise<StoredMessage[]> {
    const messages: StoredMessage[] = [];
    for (const name of (await fileNames()).slice(0, limit)) {
      const json = await readFile(join(folder, name), 'utf8').catch(() => undefined);
      if (json) messages.push(JSON.parse(json) as StoredMessage);
    }
    return messages;
  }

  /** Returns the file names, newest first: a UUID version 7 starts with the time. */
  async function fileNames(): Promise<string[]> {
    const entries = await readdir(folder).catch(() => []);
    return entries
      .filter((name) => name.endsWith('.json'))
      .sort()
      .reverse();
  }
}
