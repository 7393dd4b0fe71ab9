/**
 * Sends mail by SMTP. Encrypted, unless the server is on loopback or the configuration disables
 * encryption.
 */
import { createTransport } from 'nodemailer';
import { isLoopback } from '../../kit/loopback.js';
import { SECOND_MS } from '../clock.js';
import type { Mailbox, SmtpServer } from '../config/mail.js';
import type { RenderedMessage } from './templates.js';

const CONNECT_TIMEOUT_MS = 10 * SECOND_MS;
const RESPONSE_TIMEOUT_MS = 20 * SECOND_MS;

export interface OutgoingMessage extends RenderedMessage {
  to: Mailbox;
}

interface Deps {
  server: SmtpServer;
  from: Mailbox;
  /** The name for EHLO: the host of the issuer. */
  hostname: string;
}

export function createSmtp({ server, from, hostname }: Deps) {
  const { host, port, secure, auth } = server;
  const plain = server.allowPlaintext || isLoopback(host);
  const transport = createTransport({
    host,
    port,
    secure,
    requireTLS: !secure && !plain,
    ignoreTLS: !secure && plain,
    auth,
    name: hostname,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: RESPONSE_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  return { deliver, verifyConnection };

  async function deliver({ to, subject, text, html }: OutgoingMessage): Promise<void> {
    // As objects, so that no part of a name or an address is read as a list or a header.
    await transport.sendMail({
      from: { name: from.name ?? '', address: from.address },
      to: { name: to.name ?? '', address: to.address },
      subject,
      text,
      html,
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    });
  }

  /** Connects and authenticates without sending. Rejects if the server would not accept mail. */
  async function verifyConnection(): Promise<void> {
    await transport.verify();
  }
}

/**
 * Returns the part of an error that can be logged. Responses of the server can repeat the mail and
 * its links.
 */
export function toLoggableError(error: unknown): { reason: string; smtpCode?: number } {
  const { code, responseCode } = error as { code?: string; responseCode?: number };
  return { reason: code ?? (error as Error).name, ...(responseCode && { smtpCode: responseCode }) };
}

/** Reports whether the server rejected the mail permanently (RFC 5321, section 4.2.1). */
export const isPermanentFailure = (error: unknown) => ((error as { responseCode?: number }).responseCode ?? 0) >= 500;
