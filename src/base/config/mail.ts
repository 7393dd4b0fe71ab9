/** Settings of e-mail: the SMTP server and the sender. */
import { INVISIBLE } from '../text.js';
import { defineTopic } from './base-config.js';
import { parsed } from './setting.js';

export interface SmtpServer {
  host: string;
  port: number;
  /** Whether the connection starts with TLS (smtps). */
  secure: boolean;
  /** Whether TLS is disabled (`?tls=off`), for an SMTP server in the same network. */
  allowPlaintext: boolean;
  auth: { user: string; pass: string } | undefined;
}

/** An e-mail address, with an optional display name. */
export interface Mailbox {
  name?: string;
  address: string;
}

const HOST = /^([\w-]+(\.[\w-]+)*|\[[0-9a-f:.]+\])$/i;
const ADDRESS = /^[^\s@<>"(),:;[\]\\]+@[^\s@<>"(),:;\\]+$/u;
const DEFAULT_PORTS = { 'smtp:': 587, 'smtps:': 465 };

export const mail = defineTopic({
  title: 'Mail',
  settings: {
    smtp: parsed((text) => (text ? parseSmtpUrl(text) : undefined), {
      variable: 'SMTP_URL',
      description:
        'SMTP server. Default: in development, e-mails are written to DATA_DIR/outbox; in production, no e-mail is sent.',
      type: 'smtp://[user:password@]host[:port] with STARTTLS, smtp://…?tls=off without encryption, or smtps://…',
      isSecret: true,
    }),
    mailFrom: parsed((text) => (text ? parseMailbox(text) : undefined), {
      variable: 'MAIL_FROM',
      description: 'Sender of e-mails. Default: <BRAND_NAME> <no-reply@<host of ISSUER>>.',
      type: 'an address, or Name <address>',
    }),
  },
  resolve: ({ smtp, mailFrom }, { brandName, issuer }): { smtp: SmtpServer | undefined; mailFrom: Mailbox } => ({
    smtp,
    mailFrom: mailFrom ?? { name: brandName, address: `no-reply@${URL.parse(issuer)?.hostname ?? 'localhost'}` },
  }),
});

/** Parses SMTP_URL. The messages of its errors never contain the password. */
function parseSmtpUrl(text: string): SmtpServer {
  const url = URL.parse(text);
  const defaultPort = url && DEFAULT_PORTS[url.protocol as keyof typeof DEFAULT_PORTS];
  if (!url || !defaultPort) throw new Error('is not an SMTP URL');
  if (!HOST.test(url.hostname)) throw new Error('has no host');
  if (url.port === '0' || !/^\/?$/.test(url.pathname) || url.hash)
    throw new Error('must not have a path; special characters in the password must be percent-encoded');
  const secure = url.protocol === 'smtps:';
  if (url.search && (secure || url.search !== '?tls=off'))
    throw new Error('has an unknown parameter: only ?tls=off is supported, and only with smtp://');
  if (Boolean(url.username) !== Boolean(url.password))
    throw new Error('has a user without a password, or a password without a user');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || defaultPort,
    secure,
    allowPlaintext: url.search !== '',
    auth: url.username ? { user: percentDecode(url.username), pass: percentDecode(url.password) } : undefined,
  };
}

/** Parses `Name <address>`, or an address alone. Throws an `Error` for anything else. */
function parseMailbox(text: string): Mailbox {
  const [, name, bracketed, bare] = /^(?:([^<>]*?)\s*<([^<>]+)>|([^<>]+))$/.exec(text) ?? [];
  const address = bracketed ?? bare ?? '';
  if (!isMailable(address) || INVISIBLE.test(text)) {
    throw new Error(`is not valid (got "${text.replace(INVISIBLE, '?')}")`);
  }
  const unquotedName = name?.replace(/^"(.*)"$/, '$1');
  return unquotedName ? { name: unquotedName, address } : { address };
}

/**
 * Reports whether the text is one e-mail address and nothing else. Otherwise, an attacker could
 * inject a second address, an SMTP command or a header.
 */
export const isMailable = (address: string) => ADDRESS.test(address) && !INVISIBLE.test(address);

function percentDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error('has a % in the user or password that must be percent-encoded as %25');
  }
}
