/**
 * Sends messages by SMTP. TLS is required, unless the server is on loopback or the configuration
 * disables encryption.
 */
import { createTransport } from 'nodemailer';
import { isLoopback } from '../../kit/loopback.js';
import { SECOND_MS } from '../clock.js';
import type { Mailbox, SmtpServer } from '../config/mail.js';
import type { RenderedMessage } from './templates.js';

const CONNECT_TIMEOUT_MS = 10 * SECOND_MS;
const IDLE_TIMEOUT_MS = 20 * SECOND_MS;

export interface OutgoingMessage extends RenderedMessage {
  to: Mailbox;
}

interface Deps {
  server: SmtpServer;
  from: Mailbox;
  /** Host name sent in EHLO. */
  hostname: string;
}

/** Creates a transport to one SMTP server. It opens a connection per message. */
export function createSmtp({ server, from, hostname }: Deps) {
  const { host, port, secure, auth } = server;
  const allowPlaintext = server.allowPlaintext || isLoopback(host);
  const transport = createTransport({
    host,
    port,
    secure,
    requireTLS: !secure && !allowPlaintext,
    ignoreTLS: !secure && allowPlaintext,
    auth,
    name: hostname,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    dnsTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: IDLE_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  return { deliver, verifyConnection };

  /** Sends one message. Throws if the server does not accept it. */
  async function deliver({ to, subject, text, html }: OutgoingMessage): Promise<void> {
    await transport.sendMail({
      // Objects, so that nodemailer does not parse a name as an address list: prevents header
      // injection.
      from: { name: from.name ?? '', address: from.address },
      to: { name: to.name ?? '', address: to.address },
      subject,
      text,
      html,
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    });
  }

  /** Connects and authenticates without sending. Throws if connecting or authenticating fails. */
  async function verifyConnection(): Promise<void> {
    await transport.verify();
  }
}

/**
 * Returns the part of an error that can be logged. Server responses are not logged, because they
 * can quote the message and its links.
 */
export function toLoggableError(error: unknown): { reason: string; smtpCode?: number } {
  const { code, responseCode } = error as { code?: string; responseCode?: number };
  return { reason: code ?? (error as Error).name, ...(responseCode && { smtpCode: responseCode }) };
}

/**
 * Reports whether a retry is pointless: a 5xx reply (RFC 5321), which includes failed
 * authentication.
 */
export const isPermanentFailure = (error: unknown) => ((error as { responseCode?: number }).responseCode ?? 0) >= 500;
