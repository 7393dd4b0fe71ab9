/**
 * Which passwords may be chosen, without asking anybody: their length, their characters, the most
 * common ones.
 */
import { isCommonPassword } from './common-passwords.js';

/**
 * `standard` is NIST SP 800-63B: no rule about characters. `strict` adds one, for those who must
 * have it.
 */
export type PasswordPolicy = 'standard' | 'strict';

const MIN_LENGTH = 8;
const MAX_LENGTH = 1024;
const SIGNS = '!@#$%^&*';
const STRICT_PARTS: [words: string, pattern: RegExp][] = [
  ['a capital letter', /\p{Lu}/u],
  ['a small letter', /\p{Ll}/u],
  ['a digit', /\d/],
  [`one of ${SIGNS}`, /[!@#$%^&*]/],
];

/** The rule in a sentence, to be read before a password is chosen. */
export const PASSWORD_RULES: Record<PasswordPolicy, string> = {
  standard: `At least ${MIN_LENGTH} characters. A few unrelated words make a good one.`,
  strict: `At least ${MIN_LENGTH} characters, among them ${inWords(STRICT_PARTS.map(([words]) => words))}.`,
};

/** Why this password may not be chosen, or undefined. It must be normalised. */
export function passwordRuleError(policy: PasswordPolicy, password: string, email: string): string | undefined {
  const lower = password.toLowerCase();
  const address = email.toLowerCase();
  if ([...password].length < MIN_LENGTH) return `Use at least ${MIN_LENGTH} characters.`;
  if (password.length > MAX_LENGTH) return `Use at most ${MAX_LENGTH} characters.`;
  if (isCommonPassword(password)) return 'This password is among the most common ones. Choose another.';
  if (/^(.)\1*$/u.test(password)) return 'Use more than one character.';
  if (lower === address || lower === address.split('@')[0]) return 'Do not use your e-mail address as password.';
  if (policy === 'standard') return undefined;
  const missing = STRICT_PARTS.filter(([, pattern]) => !pattern.test(password)).map(([words]) => words);
  return missing.length > 0 ? `Use also ${inWords(missing)}.` : undefined;
}

function inWords(parts: string[]): string {
  return parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}` : parts.join();
}
