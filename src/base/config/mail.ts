/** What SMTP_URL and MAIL_FROM may hold. */
import { INVISIBLE } from '../text.js';

export interface SmtpServer {
  host: string;
  port: number;
  /** TLS from the first byte (smtps). */
  secure: boolean;
  /**
   * `?tls=off`: mails go over the network as they are, which only a network of one's own may see.
   */
  plain: boolean;
  auth: { user: string; pass: string } | undefined;
}

/** Somebody's address, with the name that stands before it. */
export interface Mailbox {
  name?: string;
  address: string;
}

const HOST = /^([\w-]+(\.[\w-]+)*|\[[0-9a-f:.]+\])$/i;
const ADDRESS = /^[^\s@<>"(),:;[\]\\]+@[^\s@<>"(),:;\\]+$/u;
const SUBMISSION = { 'smtp:': 587, 'smtps:': 465 };

/** Throws what is wrong with it; never with the password in its words. */
export function parseSmtpUrl(text: string): SmtpServer {
  const url = URL.parse(text);
  const usual = url && SUBMISSION[url.protocol as keyof typeof SUBMISSION];
  if (!url || !usual) throw new Error('is not an SMTP address');
  if (!HOST.test(url.hostname)) throw new Error('names no host');
  if (url.port === '0' || !/^\/?$/.test(url.pathname) || url.hash)
    throw new Error('holds more than a host and a port; characters of the password may have to be percent-encoded');
  const secure = url.protocol === 'smtps:';
  if (url.search && (secure || url.search !== '?tls=off'))
    throw new Error(`ends in ${url.search}, of which only ?tls=off is known, on smtp://`);
  if (Boolean(url.username) !== Boolean(url.password)) throw new Error('has a user or a password, but not both');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || usual,
    secure,
    plain: url.search !== '',
    auth: url.username ? { user: decoded(url.username), pass: decoded(url.password) } : undefined,
  };
}

/** `Name <address>`, or the address alone. Throws what is wrong with it. */
export function parseMailbox(text: string): Mailbox {
  const [, name, bracketed, bare] = /^(?:([^<>]*?)\s*<([^<>]+)>|([^<>]+))$/.exec(text) ?? [];
  const address = bracketed ?? bare ?? '';
  if (!isMailable(address) || INVISIBLE.test(text)) throw new Error(`is "${text.replace(INVISIBLE, '?')}"`);
  const plainName = name?.replace(/^"(.*)"$/, '$1');
  return plainName ? { name: plainName, address } : { address };
}

/** Whether it is one address and nothing else: no second one, no command, no header. */
export const isMailable = (address: string) => ADDRESS.test(address) && !INVISIBLE.test(address);

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error('has a user or a password with a % that encodes nothing');
  }
}
