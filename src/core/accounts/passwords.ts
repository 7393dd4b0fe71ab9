/**
 * Passwords: which are allowed, how they are kept, whether one is right. Hashing happens off the
 * event loop.
 */
import { availableParallelism } from 'node:os';
import bcrypt from 'bcrypt';
import { hmacSha256, randomToken } from '../../base/crypto.js';
import { costOf } from './hashes/bcrypt.js';
import type { Compare } from './hashes/scheme.js';
import { createHashingQueue, hashConcurrency } from './hashing-queue.js';
import { readImportedHash } from './imported-hashes.js';
import { PASSWORD_RULES, type PasswordPolicy, passwordRuleError } from './password-rules.js';
import type { PwnedPasswords } from './pwned-passwords.js';

interface Deps {
  /** Of bcrypt. */
  cost: number;
  policy?: PasswordPolicy;
  pwned?: PwnedPasswords;
  /** Server processes on this machine. */
  processes?: number;
}

/**
 * bcrypt sees 72 bytes at most. It is given a MAC of the password, 43 characters, so that every
 * character counts; the key is a fixed label, so that hashes of this kind from elsewhere cannot be
 * tried here.
 */
const PREHASH_KEY = Buffer.from('signet password, version 1');
const SCHEME = 'signet1:';

export type Passwords = ReturnType<typeof createPasswords>;

export function createPasswords({ cost, policy = 'standard', pwned, processes = 1 }: Deps) {
  const queue = createHashingQueue(hashConcurrency(availableParallelism(), processes));
  // What an unknown login is compared with, so that it takes as long as a known one.
  const decoy = queue.run(() => bcrypt.hash(randomToken(), cost));
  decoy.catch(() => {}); // reported by whoever awaits it

  return { rule: PASSWORD_RULES[policy], error, hash, verify, isOutdated, isKnownKind };

  /**
   * Why this password may not be chosen, or undefined. Asks others only about one that the rules
   * allow.
   */
  async function error(password: string, email: string): Promise<string | undefined> {
    const plain = normalize(password);
    const breach = passwordRuleError(policy, plain, email);
    if (breach || !(await pwned?.has(plain))) return breach;
    return 'This password is in a list of stolen ones. Choose another.';
  }

  async function hash(password: string): Promise<string> {
    return SCHEME + (await queue.run(() => bcrypt.hash(prehash(password), cost)));
  }

  /**
   * Whether it is the password. Without a stored hash, and with one that cannot be read, the answer
   * is no, after the same time as with a hash of our own. A hash from another system takes its own
   * time, until `isOutdated` has had it replaced.
   */
  async function verify(password: string, stored: string | null | undefined): Promise<boolean> {
    const compare = stored ? readHash(stored) : undefined;
    const decoyHash = await decoy;
    const same = await queue.run(() => (compare ?? withOwn(decoyHash))(password));
    return same && compare !== undefined;
  }

  /**
   * Whether a right password should be hashed again: its hash is from another system, or has
   * another cost.
   */
  function isOutdated(stored: string): boolean {
    return !stored.startsWith(SCHEME) || costOf(stored.slice(SCHEME.length)) !== cost;
  }

  /** Whether a password can be compared with this hash at all. */
  function isKnownKind(stored: string): boolean {
    return readHash(stored) !== undefined;
  }

  function readHash(stored: string): Compare | undefined {
    if (!stored.startsWith(SCHEME)) return readImportedHash(stored);
    const own = stored.slice(SCHEME.length);
    return costOf(own) === undefined ? undefined : withOwn(own);
  }
}

/**
 * The same characters typed on another keyboard are the same password (NIST SP 800-63B, 3.1.1.2).
 */
const normalize = (password: string) => password.normalize('NFKC');

const prehash = (password: string) => hmacSha256(PREHASH_KEY, normalize(password));

const withOwn =
  (hash: string): Compare =>
  (password) =>
    bcrypt.compare(prehash(password), hash);
