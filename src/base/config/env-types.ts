/**
 * What a setting can hold: text, a number, one of some words, a list, a duration, an address. Each
 * kind knows what to say of what it refuses.
 */
import { durationSeconds } from '../duration.js';
import { type OidcProvider, parseOidcProviders } from './federation.js';
import { type Mailbox, parseMailbox, parseSmtpUrl, type SmtpServer } from './mail.js';
import { readScopePreset, type ScopePreset } from './scope-preset.js';

/** One variable: what it is for, what it may hold, what it is when it is not set. */
export interface Setting<T> {
  description: string;
  expected: string;
  /** Shown in .env.example; the empty string when there is none. */
  defaultValue: string;
  /** Returns the value, or throws what is wrong with it. */
  parse(string: string): T;
}

export function string(defaultValue: string, description: string): Setting<string> {
  return { description, expected: 'text', defaultValue, parse: (value) => value };
}

export function mailServer(defaultValue: string, description: string): Setting<SmtpServer | undefined> {
  const expected = 'smtp://[user:password@]host[:port], encrypted by STARTTLS unless it ends in ?tls=off, or smtps://…';
  return { description, expected, defaultValue, parse: (value) => (value ? parseSmtpUrl(value) : undefined) };
}

export function mailbox(defaultValue: string, description: string): Setting<Mailbox | undefined> {
  const expected = 'an address, or Name <address>';
  return { description, expected, defaultValue, parse: (value) => (value ? parseMailbox(value) : undefined) };
}

export function oidcProviders(defaultValue: string, description: string): Setting<OidcProvider[]> {
  const expected =
    'JSON: [{"id":"acme","name":"Acme","issuer":"https://id.acme.example","client_id":"…","client_secret":"…","vouches_for":["acme.example"],"scope":"calendar.read"}]';
  return { description, expected, defaultValue, parse: parseOidcProviders };
}

export function scopePreset(defaultValue: string, description: string): Setting<ScopePreset> {
  return { description, expected: 'the path of a JSON file, or none', defaultValue, parse: readScopePreset };
}

export function list(defaultValue: string, description: string): Setting<string[]> {
  const parse = (value: string) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
  return { description, expected: 'a list, separated by commas', defaultValue, parse };
}

export function integer(min: number, max: number, defaultValue: number, description: string): Setting<number> {
  const expected = `a whole number from ${min} to ${max}`;
  return {
    description,
    expected,
    defaultValue: String(defaultValue),
    parse(value) {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) throw new Error(`is "${value}"`);
      return number;
    },
  };
}

export function oneOf<const Value extends string>(
  values: Value[],
  defaultValue: Value,
  description: string,
): Setting<Value> {
  return {
    description,
    expected: values.join(', '),
    defaultValue,
    parse(value) {
      if (!values.includes(value as Value)) throw new Error(`is "${value}"`);
      return value as Value;
    },
  };
}

/** Written as 30s, 15m, 8h, 7d or 2w; the value is in seconds. */
export function duration(defaultValue: string, description: string): Setting<number> {
  return {
    description,
    expected: 'a duration such as 30s, 15m, 8h, 7d or 2w',
    defaultValue,
    parse(value) {
      const seconds = durationSeconds(value);
      if (seconds === undefined) throw new Error(`is "${value}"`);
      return seconds;
    },
  };
}
