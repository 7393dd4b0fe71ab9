/** Local rules for new passwords: length, characters, and the most common ones. */
import { isCommonPassword } from './common-passwords.js';

/**
 * `standard` follows NIST SP 800-63B, which advises against rules about characters. `strict` adds
 * such a rule for operators who must have one.
 */
export type PasswordPolicy = 'standard' | 'strict';

const MIN_LENGTH = 8;
const MAX_LENGTH = 1024;
const SPECIAL_CHARACTERS = '!@#$%^&*';
const STRICT_REQUIREMENTS: [words: string, pattern: RegExp][] = [
  ['an uppercase letter', /\p{Lu}/u],
  ['a lowercase letter', /\p{Ll}/u],
  ['a digit', /\d/],
  [`one of ${SPECIAL_CHARACTERS}`, /[!@#$%^&*]/],
];

/** The rules in one sentence, shown beside the field for a new password. */
export const PASSWORD_RULES: Record<PasswordPolicy, string> = {
  standard: `At least ${MIN_LENGTH} characters. A few unrelated words make a good one.`,
  strict: `At least ${MIN_LENGTH} characters, including ${joinWithAnd(STRICT_REQUIREMENTS.map(([words]) => words))}.`,
};

/** Returns why a normalized password is rejected, or undefined if it is allowed. */
export function passwordRuleError(policy: PasswordPolicy, password: string, email: string): string | undefined {
  const lower = password.toLowerCase();
  const address = email.toLowerCase();
  if ([...password].length < MIN_LENGTH) return `Use at least ${MIN_LENGTH} characters.`;
  if (password.length > MAX_LENGTH) return `Use at most ${MAX_LENGTH} characters.`;
  if (isCommonPassword(password)) return 'This password is too common. Choose another.';
  if (/^(.)\1*$/u.test(password)) return 'Do not repeat a single character.';
  if (lower === address || lower === address.split('@')[0]) return 'Do not use your e-mail address as your password.';
  if (policy === 'standard') return undefined;
  const missing = STRICT_REQUIREMENTS.filter(([, pattern]) => !pattern.test(password)).map(([words]) => words);
  return missing.length > 0 ? `Add ${joinWithAnd(missing)}.` : undefined;
}

function joinWithAnd(parts: string[]): string {
  return parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}` : parts.join();
}
