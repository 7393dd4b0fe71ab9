/** What a setting can hold: text, a number, one of some words, a list, a duration, an address. Each kind knows what to say of what it refuses. */
import { durationSeconds } from '../duration.js';
import { type OidcProvider, parseOidcProviders } from './federation.js';
import { type Mailbox, parseMailbox, parseSmtpUrl, type SmtpServer } from './mail.js';

/** One variable: what it is for, what it may hold, what it is when it is not set. */
export interface Setting<T> {
  about: string;
  allowed: string;
  /** Shown in .env.example; the empty string when there is none. */
  fallback: string;
  /** Returns the value, or throws what is wrong with it. */
  parse(text: string): T;
}

export function text(fallback: string, about: string): Setting<string> {
  return { about, allowed: 'text', fallback, parse: (value) => value };
}

export function mailServer(fallback: string, about: string): Setting<SmtpServer | undefined> {
  const allowed = 'smtp://[user:password@]host[:port], encrypted by STARTTLS unless it ends in ?tls=off, or smtps://…';
  return { about, allowed, fallback, parse: (value) => (value ? parseSmtpUrl(value) : undefined) };
}

export function mailbox(fallback: string, about: string): Setting<Mailbox | undefined> {
  const allowed = 'an address, or Name <address>';
  return { about, allowed, fallback, parse: (value) => (value ? parseMailbox(value) : undefined) };
}

export function oidcProviders(fallback: string, about: string): Setting<OidcProvider[]> {
  const allowed =
    'JSON: [{"id":"acme","name":"Acme","issuer":"https://id.acme.example","client_id":"…","client_secret":"…","vouches_for":["acme.example"],"scope":"calendar.read"}]';
  return { about, allowed, fallback, parse: parseOidcProviders };
}

export function list(fallback: string, about: string): Setting<string[]> {
  const parse = (value: string) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
  return { about, allowed: 'a list, separated by commas', fallback, parse };
}

export function integer(min: number, max: number, fallback: number, about: string): Setting<number> {
  const allowed = `a whole number from ${min} to ${max}`;
  return {
    about,
    allowed,
    fallback: String(fallback),
    parse(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) throw new Error(`is "${value}"`);
      return number;
    },
  };
}

export function oneOf<const Value extends string>(values: Value[], fallback: Value, about: string): Setting<Value> {
  return {
    about,
    allowed: values.join(', '),
    fallback,
    parse(value) {
      if (!values.includes(value as Value)) throw new Error(`is "${value}"`);
      return value as Value;
    },
  };
}

/** Written as 30s, 15m, 8h, 7d or 2w; the value is in seconds. */
export function duration(fallback: string, about: string): Setting<number> {
  return {
    about,
    allowed: 'a duration such as 30s, 15m, 8h, 7d or 2w',
    fallback,
    parse(value) {
      const seconds = durationSeconds(value);
      if (seconds === undefined) throw new Error(`is "${value}"`);
      return seconds;
    },
  };
}
