/** Validates, hashes and verifies passwords. Hashing happens off the event loop. */
import { availableParallelism } from 'node:os';
import bcrypt from 'bcrypt';
import { hmacSha256, randomToken } from '../../base/crypto.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import { costOf } from './hashes/bcrypt.js';
import type { Compare } from './hashes/scheme.js';
import { createHashingQueue, type HashingQueueOptions, hashConcurrency } from './hashing-queue.js';
import { readImportedHash } from './imported-hashes.js';
import { PASSWORD_RULES, type PasswordPolicy, passwordRuleError } from './password-rules.js';
import type { PwnedPasswords } from './pwned-passwords.js';

interface Deps {
  /** The cost of bcrypt: the binary logarithm of its rounds. */
  cost: number;
  policy?: PasswordPolicy;
  pwned?: PwnedPasswords;
  /** The number of server processes on this machine. */
  processes?: number;
  queueLimits: Pick<HashingQueueOptions, 'maxWaiting' | 'maxWaitingPerNetwork'>;
}

/**
 * The key of the MAC that bcrypt hashes instead of the password. bcrypt ignores everything after 72
 * bytes, but the MAC has 43 characters and depends on the whole password. The key is a fixed label,
 * so that unkeyed hashes leaked by another system are useless here.
 */
const PREHASH_KEY = Buffer.from('signet password, version 1');
const OWN_HASH_PREFIX = 'signet1:';

export type Passwords = ReturnType<typeof createPasswords>;

export function createPasswords({ cost, policy = 'standard', pwned, processes = 1, queueLimits }: Deps) {
  const maxConcurrent = hashConcurrency(availableParallelism(), processes);
  const queue = createHashingQueue({ ...queueLimits, maxConcurrent });
  // `verify` compares with this hash if there is no account, so that timing does not reveal
  // accounts.
  const decoy = queue.run(systemMeta, () => bcrypt.hash(randomToken(), cost));
  decoy.catch(() => {}); // `verify` awaits it and throws the error

  return { rule: PASSWORD_RULES[policy], error, hash, verify, isOutdated, isKnownKind };

  /**
   * Returns why a new password is rejected, or undefined if it is allowed. Looks it up among
   * breached passwords only if the local rules allow it.
   */
  async function error(password: string, email: string): Promise<string | undefined> {
    const plain = normalize(password);
    const ruleError = passwordRuleError(policy, plain, email);
    if (ruleError || !(await pwned?.has(plain))) return ruleError;
    return 'This password appeared in a data breach. Choose another.';
  }

  /** Throws `AppError` `temporarily_unavailable` if too many requests of this network wait. */
  async function hash(password: string, meta: RequestMeta): Promise<string> {
    return OWN_HASH_PREFIX + (await queue.run(meta, () => bcrypt.hash(prehash(password), cost)));
  }

  /**
   * Reports whether the password matches the stored hash. A missing or unsupported hash takes as
   * long as a hash of our own, and the result is false. An imported hash takes the time of its
   * algorithm, until the first sign-in replaces it. Throws as `hash` does.
   */
  async function verify(password: string, storedHash: string | null | undefined, meta: RequestMeta): Promise<boolean> {
    const compare = storedHash ? createCompare(storedHash) : undefined;
    const decoyHash = await decoy;
    const matches = await queue.run(meta, () => (compare ?? compareWithOwnHash(decoyHash))(password));
    return matches && compare !== undefined;
  }

  /** Reports whether the hash should be replaced: it is imported, or has another cost. */
  function isOutdated(storedHash: string): boolean {
    return !storedHash.startsWith(OWN_HASH_PREFIX) || costOf(storedHash.slice(OWN_HASH_PREFIX.length)) !== cost;
  }

  /** Reports whether the format of the hash is supported. */
  function isKnownKind(storedHash: string): boolean {
    return createCompare(storedHash) !== undefined;
  }

  function createCompare(storedHash: string): Compare | undefined {
    if (!storedHash.startsWith(OWN_HASH_PREFIX)) return readImportedHash(storedHash);
    const bcryptHash = storedHash.slice(OWN_HASH_PREFIX.length);
    return costOf(bcryptHash) === undefined ? undefined : compareWithOwnHash(bcryptHash);
  }
}

/** Unifies characters that keyboards encode differently (NIST SP 800-63B, section 3.1.1.2). */
const normalize = (password: string) => password.normalize('NFKC');

const prehash = (password: string) => hmacSha256(PREHASH_KEY, normalize(password));

const compareWithOwnHash =
  (hash: string): Compare =>
  (password) =>
    bcrypt.compare(prehash(password), hash);
