/** Passwords: which are allowed, how they are kept, whether one is right. Hashing happens off the event loop. */
import { availableParallelism } from 'node:os';
import bcrypt from 'bcrypt';
import { hmacSha256, randomToken } from '../../base/crypto.js';
import { unavailable } from '../../base/errors.js';
import { COMMON_PASSWORDS } from './common-passwords.js';

export const MIN_PASSWORD_LENGTH = 8;
export const MAX_PASSWORD_LENGTH = 1024;

/**
 * bcrypt sees 72 bytes at most. It is given a MAC of the password, 43 characters, so that every character counts; the key
 * is a fixed label, so that hashes of this kind from elsewhere cannot be tried here.
 */
const PREHASH_KEY = Buffer.from('signet password, version 1');
const SCHEME = 'signet1:';

/** More hashes than this waiting for a core means seconds of delay: better a clear 503. */
const MAX_WAITING = 100;

export type Passwords = ReturnType<typeof createPasswords>;

export function createPasswords({ cost }: { cost: number }) {
  const queue = createQueue(availableParallelism(), MAX_WAITING);
  // What an unknown login is compared with, so that it takes as long as a known one.
  const decoy = queue.run(() => bcrypt.hash(randomToken(), cost));
  decoy.catch(() => {}); // reported by whoever awaits it

  return { fault, hash, verify };

  /**
   * Why this password may not be chosen, or undefined. As NIST SP 800-63B has it: long enough, not common, not the e-mail;
   * no rule about its characters.
   */
  function fault(password: string, email: string): string | undefined {
    const plain = normalize(password);
    const lower = plain.toLowerCase();
    const [mailbox] = email.toLowerCase().split('@');
    if ([...plain].length < MIN_PASSWORD_LENGTH) return `Use at least ${MIN_PASSWORD_LENGTH} characters.`;
    if (plain.length > MAX_PASSWORD_LENGTH) return `Use at most ${MAX_PASSWORD_LENGTH} characters.`;
    if (COMMON_PASSWORDS.has(lower)) return 'This password is among the most common ones. Choose another.';
    if (/^(.)\1*$/u.test(plain)) return 'Use more than one character.';
    if (lower === email.toLowerCase() || lower === mailbox) return 'Do not use your e-mail address as password.';
    return undefined;
  }

  async function hash(password: string): Promise<string> {
    return SCHEME + (await queue.run(() => bcrypt.hash(prehash(password), cost)));
  }

  /** Whether it is the password. Without a stored hash the answer is no, after the same time. */
  async function verify(password: string, stored: string | null | undefined): Promise<boolean> {
    const known = stored?.startsWith(SCHEME) ? stored.slice(SCHEME.length) : undefined;
    const expected = known ?? (await decoy);
    const same = await queue.run(() => bcrypt.compare(prehash(password), expected));
    return same && known !== undefined;
  }
}

/** The same characters typed on another keyboard are the same password (NIST SP 800-63B, 3.1.1.2). */
const normalize = (password: string) => password.normalize('NFKC');

const prehash = (password: string) => hmacSha256(PREHASH_KEY, normalize(password));

/** Runs at most `width` jobs at once; refuses those that would wait behind more than `maxWaiting` others. */
function createQueue(width: number, maxWaiting: number) {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (running >= width) {
      if (waiting.length >= maxWaiting) throw unavailable('Too many sign-ins at once. Please try again.');
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running += 1;
    }
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return { run };
}
