/**
 * Sends e-mail by SMTP, or writes it to a folder in development. Sending runs in the background
 * with retries. A crash loses unsent messages; users can request links again.
 *
 * It does not use background.ts, because its queue is bounded and shutdown waits at most a few
 * seconds.
 */
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
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
  retryDelaysMs?: number[];
}

/** A pending message takes a few kilobytes. */
const MAX_PENDING = 1000;
const QUEUE_FULL = 'the mail queue is full; the message was dropped';
const INVALID_ADDRESS = 'the e-mail address is invalid; the message was dropped';
const MAX_CONCURRENT = 4;
const RETRY_DELAYS_MS = [1, 10, 60, 300].map((seconds) => seconds * SECOND_MS);
const SHUTDOWN_TIMEOUT_MS = 3 * SECOND_MS;

export type Mailer = ReturnType<typeof createMailer>;

/** Creates the mailer. Throws if a template is broken. */
export function createMailer({ config, log, clock, retryDelaysMs = RETRY_DELAYS_MS }: Deps) {
  const { issuer, brandName, production, dataDir, smtp: server, mailFrom: from } = config;
  const templates = createMailTemplates({ brandName, issuer });
  const smtp = server && createSmtp({ server, from, hostname: new URL(issuer).hostname });
  // No outbox in production: it would expose password reset links to everyone who can read the
  // disk.
  const outbox = server || production ? undefined : createOutbox({ folder: join(dataDir, 'outbox'), clock });
  const transport = smtp ?? outbox;
  if (!transport) log.warn('SMTP_URL is not set: no e-mail is sent, so users cannot reset their passwords');
  const semaphore = createSemaphore(MAX_CONCURRENT);
  const closing = new AbortController();
  const pending = new Set<Promise<void>>();

  return {
    canSend: transport !== undefined,
    /** Whether messages reach users. Users cannot read the outbox of a development server. */
    delivers: smtp !== undefined,
    outbox,
    send,
    waitUntilIdle,
    close,
  };

  /**
   * Sends a message in the background. Call it after the commit, because a message cannot be rolled
   * back. Never throws, and does not report whether the message arrived.
   */
  function send<Name extends keyof MailTemplates>(to: Mailbox, template: Name, values: MailTemplates[Name]): void {
    if (!transport) return;
    const rejection = isMailable(to.address) ? pending.size >= MAX_PENDING && QUEUE_FULL : INVALID_ADDRESS;
    if (rejection) {
      log.error({ template }, rejection);
      return;
    }
    const sending = deliver(template, () => ({ to, ...templates.render(template, values) }));
    pending.add(sending);
    void sending.finally(() => pending.delete(sending));
  }

  async function deliver(template: string, render: () => OutgoingMessage): Promise<void> {
    await nextTurn(); // rendering must not delay the caller
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await semaphore.run(async () => transport!.deliver(render()));
      } catch (error) {
        const delayMs = retryDelaysMs[attempt - 1];
        const reason = toLoggableError(error);
        if (isPermanentFailure(error) || delayMs === undefined || closing.signal.aborted) {
          log.error({ template, ...reason, attempts: attempt }, 'could not send the message; giving up');
          return;
        }
        log.warn({ template, ...reason }, 'could not send the message; will retry');
        // Closing interrupts the delay, so that the last retry starts immediately.
        await sleep(delayMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
      }
    }
  }

  /** Resolves when every message was sent or given up. */
  async function waitUntilIdle(): Promise<void> {
    await Promise.all(pending);
  }

  /** Retries each pending message once, for a few seconds at most. */
  async function close(): Promise<void> {
    closing.abort();
    await Promise.race([waitUntilIdle(), sleep(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
    if (pending.size > 0) log.error({ messages: pending.size }, 'shut down with unsent messages');
  }
}
