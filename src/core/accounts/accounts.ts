/** Accounts: the people that sign in. An account's id is its OIDC `sub` and never changes. */
import { randomUUID } from 'node:crypto';
import { AppError, conflict, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Mailbox } from '../../base/config/mail.js';
import type { Account, Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { INVISIBLE, isStorable } from '../../base/text.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import type { RequestMeta } from '../request-meta.js';
import { IMPORTED_HASHES } from './imported-hashes.js';
import type { Passwords } from './passwords.js';

export type { Account } from '../../base/db/open.js';
export const ACCOUNT_ROLES = ['admin', 'viewer'] as const;
export type AccountRole = (typeof ACCOUNT_ROLES)[number];
export const ACCOUNT_STATES = ['active', 'suspended'] as const;
export type AccountStatus = (typeof ACCOUNT_STATES)[number];

export interface NewAccount {
  email: string;
  name?: string;
  password: string;
}

/**
 * An account that comes from elsewhere: with the hash of its password from another system, or with
 * none.
 */
export interface ImportedAccount {
  email: string;
  name?: string;
  picture?: string;
  passwordHash: string | null;
}

/** For those who set the instance up. */
export interface AccountOptions {
  role?: AccountRole | undefined;
  status?: AccountStatus | undefined;
  /** The e-mail address needs no proof. */
  verified?: boolean;
  /** The account of whoever makes it, where that is not its own. */
  by?: string;
  /**
   * What must happen together with it, in the same transaction. Returns what is to follow when that
   * is done.
   */
  also?: ((account: Account, tx: Queryable) => Promise<(() => void) | undefined>) | undefined;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  passwords: Passwords;
  organizations: Organizations;
}

const MAX_EMAIL_LENGTH = 254; // RFC 5321
const MAX_NAME_LENGTH = 200;
const EMAIL = /^[^\s@<>"(),:;[\]\\]+@[^\s@<>"(),:;[\]\\]+\.[^\s@<>"(),:;[\]\\.]+$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/;

export type Accounts = ReturnType<typeof createAccounts>;

export function createAccounts({ db, clock, audit, invalidationBus, passwords, organizations }: Deps) {
  const recent = createTtlCache<Account>({ clock });
  invalidationBus.on('accounts', recent.invalidate);

  return { create, errorsOf, renewHash, find, findByEmail, lock, lockUnchanged, hasAdmin, list, page, isActive };

  /**
   * Makes an account with an organization of its own. Refuses with `invalid_request` (by field) or
   * `conflict`.
   */
  async function create(
    input: NewAccount | ImportedAccount,
    meta: RequestMeta,
    { role = 'viewer', status = 'active', verified = false, by, also }: AccountOptions = {},
  ): Promise<Account> {
    const email = normalizeEmail(input.email);
    const name = nameOf(input);
    const errors = await errorsOf(input);
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values cannot be used.', errors);

    const imported = 'passwordHash' in input;
    const passwordHash = imported ? input.passwordHash : await passwords.hash(input.password);
    const id = randomUUID();
    const now = clock.now();
    const write = async (tx: Queryable) => {
      const account = await tx.account.create({
        data: {
          id,
          email,
          name,
          ...splitName(name),
          role,
          status,
          emailVerified: verified,
          emailVerifiedAt: verified ? now : null,
          ...(imported && input.picture && { picture: input.picture }),
          passwordHash,
          passwordChangedAt: passwordHash === null ? null : now,
        },
      });
      await organizations.createOwn(account, tx);
      const follow = await also?.(account, tx);
      const detail = { role, ...(imported && { imported }) };
      await audit.record(
        { action: 'account.created', actor: { kind: 'account', id: by ?? id }, accountId: id, meta, detail },
        tx,
      );
      return { account, follow };
    };
    const { account, follow } = await db.$transaction(write).catch((error) => {
      throw isUniqueViolation(error) ? addressTaken() : error;
    });
    follow?.();
    return account;
  }

  /** What cannot be used, by field. */
  async function errorsOf(input: NewAccount | ImportedAccount): Promise<Record<string, string>> {
    const email = normalizeEmail(input.email);
    const name = nameOf(input);
    const password = 'passwordHash' in input ? undefined : await passwords.error(input.password, email);
    const hash = 'passwordHash' in input ? input.passwordHash : null;
    return {
      ...(!isEmail(email) && { email: 'Enter an e-mail address.' }),
      ...(name && !isName(name) && { name: NAME_ERROR }),
      ...(password && { password }),
      ...(hash !== null &&
        !passwords.isKnownKind(hash) && { passwordHash: `Use one of ${IMPORTED_HASHES.join(', ')}.` }),
    };
  }

  /**
   * Keeps a password that was just proven in a hash of our own, if it was not yet. One that is
   * changed at the same moment stays; when there is no time for it now, the next sign-in does it.
   */
  async function renewHash({ id, passwordHash }: Account, password: string): Promise<void> {
    if (!passwordHash || !passwords.isOutdated(passwordHash)) return;
    try {
      const data = { passwordHash: await passwords.hash(password) };
      await db.account.updateMany({ where: { id, passwordHash }, data });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  }

  /**
   * The account, as it was at most a second ago; every process is also told at once when one
   * changes.
   */
  async function find(id: string): Promise<Account | undefined> {
    return recent.getOrLoad(id, async () => (await db.account.findUnique({ where: { id } })) ?? undefined);
  }

  async function findByEmail(email: string): Promise<Account | null> {
    return db.account.findUnique({ where: { email: normalizeEmail(email) } });
  }

  /**
   * The account as it is now. Whoever else holds or changes it waits until the transaction is done.
   */
  async function lock(id: string, tx: Queryable): Promise<Account | null> {
    await tx.$executeRaw`UPDATE "Account" SET "status" = "status" WHERE "id" = ${id}`;
    return tx.account.findUnique({ where: { id } });
  }

  /**
   * The same for what is made by a login. Whoever resets the password takes an account back, and a
   * login that ends by it leaves nothing behind: refuses with `conflict`.
   */
  async function lockUnchanged({ id, passwordChangedAt }: Account, tx: Queryable): Promise<void> {
    const now = await lock(id, tx);
    if (now?.passwordChangedAt?.getTime() !== passwordChangedAt?.getTime())
      throw conflict('The account was changed at this moment. Please try again.');
  }

  async function hasAdmin(): Promise<boolean> {
    return (await db.account.findFirst({ where: { role: 'admin', status: 'active' }, select: { id: true } })) !== null;
  }

  /** The newest first. */
  async function list(limit = 100): Promise<Account[]> {
    return db.account.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit });
  }

  /** By their addresses, a page at a time: those after the account `after`. */
  async function page({ after, limit }: { after?: string | undefined; limit: number }): Promise<Account[]> {
    const from = after && { cursor: { id: after }, skip: 1 };
    return db.account.findMany({ ...from, orderBy: { email: 'asc' }, take: limit });
  }

  function isActive(account: Account | null | undefined): account is Account {
    return account?.status === 'active';
  }
}

/** Somebody else has this address. */
export const addressTaken = () =>
  conflict('There is already an account with this e-mail address.', { email: 'This address is taken.' });

const nameOf = ({ name }: { name?: string }) => name?.trim() || undefined;

/**
 * Where to write to somebody. As long as the address may be another's, the name would be a
 * stranger's words in a mail from us.
 */
export const mailAddressOf = ({ email, name, emailVerified }: Account): Mailbox => ({
  address: email,
  ...(emailVerified && name && { name }),
});

/** As it is stored and compared. */
export const normalizeEmail = (email: string) => email.normalize('NFC').trim().toLowerCase();

export const isEmail = (email: string) =>
  email.length <= MAX_EMAIL_LENGTH && EMAIL.test(email) && !INVISIBLE.test(email) && isStorable(email);

export const NAME_ERROR = `Use at most ${MAX_NAME_LENGTH} ordinary characters.`;

export const isName = (name: string) =>
  name.length <= MAX_NAME_LENGTH && !CONTROL_CHARACTERS.test(name) && isStorable(name);

/** Given and family name where only the whole is known: the last word is the family's. */
export function splitName(name: string | undefined): { givenName?: string; familyName?: string } {
  const words = name?.split(/\s+/) ?? [];
  if (words.length < 2) return words[0] ? { givenName: words[0] } : {};
  return { givenName: words.slice(0, -1).join(' '), familyName: words.at(-1) };
}
