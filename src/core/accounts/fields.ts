/** Rules for the e-mail address and the names of an account. Pure functions. */
import type { Mailbox } from '../../base/config/mail.js';
import type { Account } from '../../base/db/open.js';
import { INVISIBLE, isStorable } from '../../base/text.js';

const MAX_EMAIL_LENGTH = 254; // RFC 5321
const MAX_NAME_LENGTH = 200;
const EMAIL_PATTERN = /^[^\s@<>"(),:;[\]\\]+@[^\s@<>"(),:;[\]\\]+\.[^\s@<>"(),:;[\]\\.]+$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are rejected
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/;

/**
 * Returns the recipient of messages to an account. The name is omitted until the address is
 * verified: before that, an attacker could choose words that we mail to a stranger.
 */
export const mailAddressOf = ({ email, name, emailVerified }: Account): Mailbox => ({
  address: email,
  ...(emailVerified && name && { name }),
});

/** Returns the form in which e-mail addresses are stored and compared. */
export const normalizeEmail = (email: string) => email.normalize('NFC').trim().toLowerCase();

/** Reports whether a normalized text is an e-mail address. */
export const isEmail = (email: string) =>
  email.length <= MAX_EMAIL_LENGTH && EMAIL_PATTERN.test(email) && !INVISIBLE.test(email) && isStorable(email);

export const NAME_ERROR = `Use at most ${MAX_NAME_LENGTH} ordinary characters.`;

/** Reports whether a text can be the name of an account. */
export const isName = (name: string) =>
  name.length <= MAX_NAME_LENGTH && !CONTROL_CHARACTERS.test(name) && isStorable(name);

/** Splits a full name into given name and family name: the last word is the family name. */
export function splitName(name: string | undefined): { givenName?: string; familyName?: string } {
  const words = name?.split(/\s+/) ?? [];
  if (words.length < 2) return words[0] ? { givenName: words[0] } : {};
  return { givenName: words.slice(0, -1).join(' '), familyName: words.at(-1) };
}
