/**
 * Sends mail by SMTP, or writes it to a folder in development. Sending runs in the background with
 * retries, and a crash loses unsent mail; users can request links again. Not run by background.ts:
 * it limits the number of waiting mails and gives up soon when the process stops.
 */
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as soon } from 'node:timers/promises';
import { type Clock, SECOND_MS } from './clock.js';
import { isMailable, type Mailbox } from './config/mail.js';
import type { Config } from './config.js';
import type { Log } from './log.js';
import { createOutbox } from './mail/outbox.js';
import { createSmtp, isPermanentFailure, type OutgoingMessage, toLoggableError } from './mail/smtp.js';
import { createMailTemplates, type MailTemplates } from './mail/templates.js';
import { createSemaphore } from './semaphore.js';

interface Deps {
  config: Pick<Config, 'issuer' | 'brandName' | 'production' | 'dataDir' | 'smtp' | 'mailFrom'>;
  log: Log;
  clock: Clock;
  /** Milliseconds before each retry. */
  pausesMs?: number[];
}

/** A waiting mail takes a few kilobytes. */
const MAX_WAITING = 1000;
const FULL = 'too many mails are waiting: one was dropped';
const MAX_CONCURRENT = 4;
const PAUSES_MS = [1, 10, 60, 300].map((seconds) => seconds * SECOND_MS);
const DRAIN_MS = 3 * SECOND_MS;

export type Mailer = ReturnType<typeof createMailer>;

export function createMailer({ config, log, clock, pausesMs = PAUSES_MS }: Deps) {
  const { issuer, brandName, production, dataDir, smtp: server, mailFrom: from } = config;
  const templates = createMailTemplates({ brandName, issuer });
  const smtp = server && createSmtp({ server, from, hostname: new URL(issuer).hostname });
  // In production, the outbox would only expose links to everyone who can read the disk.
  const outbox = server || production ? undefined : createOutbox({ folder: join(dataDir, 'outbox'), clock });
  const transport = smtp ?? outbox;
  if (!transport) log.warn('SMTP_URL is not set: no mail is sent, so users cannot reset their passwords');
  const semaphore = createSemaphore(MAX_CONCURRENT);
  const closing = new AbortController();
  const running = new Set<Promise<void>>();

  return { canSend: transport !== undefined, outbox, send, waitUntilIdle, close };

  /**
   * Sends a mail in the background. Call it after the commit. Never throws, and does not report
   * whether the mail arrived.
   */
  function send<Name extends keyof MailTemplates>(to: Mailbox, name: Name, values: MailTemplates[Name]): void {
    if (!transport) return;
    const problem = !isMailable(to.address)
      ? 'no address that a mail could be sent to'
      : running.size >= MAX_WAITING && FULL;
    if (problem) {
      log.error({ letter: name }, problem);
      return;
    }
    const sending = deliver(name, () => ({ to, ...templates.compose(name, values) }));
    running.add(sending);
    void sending.finally(() => running.delete(sending));
  }

  async function deliver(letter: string, compose: () => OutgoingMessage): Promise<void> {
    await soon(); // the caller continues first
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await semaphore.run(async () => transport!.deliver(compose()));
      } catch (error) {
        const pause = pausesMs[attempt];
        const reason = toLoggableError(error);
        if (isPermanentFailure(error) || pause === undefined || closing.signal.aborted) {
          log.error({ letter, ...reason, attempts: attempt + 1 }, 'a mail could not be sent');
          return;
        }
        log.warn({ letter, ...reason }, 'a mail could not be sent yet; it is tried again');
        await sleep(pause, undefined, { signal: closing.signal, ref: false }).catch(() => {}); // closing: at once
      }
    }
  }

  /** Resolves when every mail is sent or given up. */
  async function waitUntilIdle(): Promise<void> {
    await Promise.all(running);
  }

  /** Retries waiting mails once, for a few seconds, and gives up. */
  async function close(): Promise<void> {
    closing.abort();
    await Promise.race([waitUntilIdle(), sleep(DRAIN_MS, undefined, { ref: false })]);
    if (running.size > 0) log.error({ mails: running.size }, 'stopped before all mails were sent');
  }
}
