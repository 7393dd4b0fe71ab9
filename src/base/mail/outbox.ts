/** Stores mails as files, readable only by their owner. For development. */
import { mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.js';
import { uuidv7 } from '../crypto.js';
import type { OutgoingMessage } from './smtp.js';

export interface StoredMessage {
  at: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}

const MAX_KEPT = 200;

export type Outbox = ReturnType<typeof createOutbox>;

export function createOutbox({ folder, clock }: { folder: string; clock: Clock }) {
  return { folder, deliver, list };

  async function deliver({ to, subject, text, html }: OutgoingMessage): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const at = clock.now();
    const mail: StoredMessage = { at: at.toISOString(), to: to.address, subject, text, html };
    await writeFile(join(folder, `${uuidv7(at)}.json`), JSON.stringify(mail, null, 2), { flag: 'wx', mode: 0o600 });
    for (const name of (await names()).slice(MAX_KEPT)) await unlink(join(folder, name)).catch(() => {}); // another process may have
  }

  /** Returns mails, newest first. */
  async function list(limit = 50): Promise<StoredMessage[]> {
    const mails: StoredMessage[] = [];
    for (const name of (await names()).slice(0, limit)) {
      const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
      if (text) mails.push(JSON.parse(text) as StoredMessage);
    }
    return mails;
  }

  /** Returns file names. They start with the time, so they sort by it. */
  async function names(): Promise<string[]> {
    const found = await readdir(folder).catch(() => []);
    return found
      .filter((name) => name.endsWith('.json'))
      .sort()
      .reverse();
  }
}
