/** Mail: the server that sends it, and the sender. */
import { INVISIBLE } from '../text.js';
import { defineTopic } from './base-config.js';
import { parsed } from './setting.js';

export interface SmtpServer {
  host: string;
  port: number;
  /** TLS from the first byte (smtps). */
  secure: boolean;
  /** `?tls=off`: without encryption, for a mail server in your own network. */
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
const SUBMISSION = { 'smtp:': 587, 'smtps:': 465 };

export const mail = defineTopic({
  title: 'Mail',
  settings: {
    smtp: parsed((text) => (text ? parseSmtpUrl(text) : undefined), {
      variable: 'SMTP_URL',
      description:
        'Mail server. Default: in development, mails are written to DATA_DIR/outbox; in production, no mail is sent.',
      type: 'smtp://[user:password@]host[:port] with STARTTLS, smtp://…?tls=off without encryption, or smtps://…',
      isSecret: true,
    }),
    mailFrom: parsed((text) => (text ? parseMailbox(text) : undefined), {
      variable: 'MAIL_FROM',
      description: 'Sender of mails. Default: <BRAND_NAME> <no-reply@<host of ISSUER>>.',
      type: 'an address, or Name <address>',
    }),
  },
  resolve: ({ smtp, mailFrom }, { brandName, issuer }): { smtp: SmtpServer | undefined; mailFrom: Mailbox } => ({
    smtp,
    mailFrom: mailFrom ?? { name: brandName, address: `no-reply@${URL.parse(issuer)?.hostname ?? 'localhost'}` },
  }),
});

/** Parses SMTP_URL. Throws an `Error` without the password. */
function parseSmtpUrl(text: string): SmtpServer {
  const url = URL.parse(text);
  const usual = url && SUBMISSION[url.protocol as keyof typeof SUBMISSION];
  if (!url || !usual) throw new Error('is not an SMTP URL');
  if (!HOST.test(url.hostname)) throw new Error('has no host');
  if (url.port === '0' || !/^\/?$/.test(url.pathname) || url.hash)
    throw new Error('has more than a host and a port; special characters in the password must be percent-encoded');
  const secure = url.protocol === 'smtps:';
  if (url.search && (secure || url.search !== '?tls=off'))
    throw new Error('has an unknown query: only ?tls=off is supported, and only with smtp://');
  if (Boolean(url.username) !== Boolean(url.password))
    throw new Error('has a user without a password, or a password without a user');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || usual,
    secure,
    allowPlaintext: url.search !== '',
    auth: url.username ? { user: decoded(url.username), pass: decoded(url.password) } : undefined,
  };
}

/** Parses `Name <address>`, or an address alone. Throws an `Error` for anything else. */
function parseMailbox(text: string): Mailbox {
  const [, name, bracketed, bare] = /^(?:([^<>]*?)\s*<([^<>]+)>|([^<>]+))$/.exec(text) ?? [];
  const address = bracketed ?? bare ?? '';
  if (!isMailable(address) || INVISIBLE.test(text)) throw new Error(`is "${text.replace(INVISIBLE, '?')}"`);
  const plainName = name?.replace(/^"(.*)"$/, '$1');
  return plainName ? { name: plainName, address } : { address };
}

/** Reports whether the text is exactly one address: no second address, SMTP command or header. */
export const isMailable = (address: string) => ADDRESS.test(address) && !INVISIBLE.test(address);

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error('has a % in the user or password that is not followed by two hexadecimal digits');
  }
}
