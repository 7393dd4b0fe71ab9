/** Accounts: the users who sign in. The id of an account is its OIDC `sub` and never changes. */
import { randomUUID } from 'node:crypto';
import { AppError, conflict, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Account, Database } from '../../base/db/open.js';
import type { Transact, UnitOfWork } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createPageOrder, type Page, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { lockAccount } from '../account-limits/account-lock.js';
import type { Audit } from '../audit/audit.js';
import type { Organizations } from '../organizations/organizations.js';
import { createActingUserLock } from './acting-user.js';
import { isEmail, isName, NAME_ERROR, normalizeEmail, splitName } from './fields.js';
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

/** An account from another system, with its password hash or without a password. */
export interface ImportedAccount {
  email: string;
  name?: string;
  picture?: string;
  passwordHash: string | null;
}

/** Valid values of a new account, with the hash of its password. */
export interface PreparedAccount {
  email: string;
  name: string | undefined;
  picture: string | undefined;
  passwordHash: string | null;
  imported: boolean;
}

export interface AccountOptions {
  role?: AccountRole | undefined;
  status?: AccountStatus | undefined;
  /** Whether the e-mail address is marked as verified. */
  verified?: boolean;
  /** Whether the account is deleted if its e-mail address is never verified. */
  expiresUnverified?: boolean;
  /** The id of the admin who creates the account. Default: the new account itself. */
  by?: string;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  passwords: Passwords;
  organizations: Organizations;
}

const BY_EMAIL = createPageOrder({ list: 'accounts', key: 'email', direction: 'asc' });

export type Accounts = ReturnType<typeof createAccounts>;

export function createAccounts({ db, transact, clock, audit, invalidationBus, passwords, organizations }: Deps) {
  const cache = createTtlCache<Account>({ clock });
  invalidationBus.on('accounts', cache.invalidate);
  const { lockActing } = createActingUserLock({ clock });

  return {
    create,
    prepare,
    insert,
    errorsOf,
    renewHash,
    find,
    findByEmail,
    lock: lockAccount,
    lockActing,
    hasAdmin,
    list,
    listByEmail,
    isActive,
  };

  /**
   * Creates an account and its personal organization. Throws `AppError` `invalid_request` by field,
   * or `conflict` if the e-mail address is taken.
   */
  async function create(
    input: NewAccount | ImportedAccount,
    meta: RequestMeta,
    options: AccountOptions = {},
  ): Promise<Account> {
    const prepared = await prepare(input, meta);
    return transact((uow) => insert(uow, prepared, meta, options));
  }

  /**
   * Validates a new account and hashes its password. Call it before the transaction that inserts
   * the account, because hashing is slow. Throws `AppError` `invalid_request` by field.
   */
  async function prepare(input: NewAccount | ImportedAccount, meta: RequestMeta): Promise<PreparedAccount> {
    const errors = await errorsOf(input);
    if (Object.keys(errors).length > 0) throw invalidRequest('Some values are invalid.', errors);
    const imported = 'passwordHash' in input;
    return {
      email: normalizeEmail(input.email),
      name: trimmedName(input),
      picture: (imported && input.picture) || undefined,
      passwordHash: imported ? input.passwordHash : await passwords.hash(input.password, meta),
      imported,
    };
  }

  /**
   * Creates a prepared account and its personal organization in the caller's transaction. Throws
   * `AppError` `conflict` if the e-mail address is taken.
   */
  async function insert(
    uow: UnitOfWork,
    { email, name, picture, passwordHash, imported }: PreparedAccount,
    meta: RequestMeta,
    { role = 'viewer', status = 'active', verified = false, expiresUnverified = false, by }: AccountOptions = {},
  ): Promise<Account> {
    const id = randomUUID();
    const now = clock.now();
    const data = {
      id,
      email,
      name,
      ...splitName(name),
      role,
      status,
      emailVerified: verified,
      emailVerifiedAt: verified ? now : null,
      expiresUnverified,
      ...(picture && { picture }),
      passwordHash,
      passwordChangedAt: passwordHash === null ? null : now,
      createdAt: now,
    };
    const account = await uow.tx.account.create({ data }).catch((error) => {
      throw isUniqueViolation(error) ? addressTaken() : error;
    });
    await organizations.createPersonal(account, uow.tx);
    const detail = { role, ...(imported && { imported }) };
    await audit.record(uow, 'account.created', { by: by ?? id, accountId: id, meta, detail });
    return account;
  }

  /** Validates a new account. Returns an error message for each invalid field. */
  async function errorsOf(input: NewAccount | ImportedAccount): Promise<Record<string, string>> {
    const email = normalizeEmail(input.email);
    const name = trimmedName(input);
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
   * Replaces an imported or outdated hash after the password was verified. Does not overwrite a
   * password that is changed concurrently. If the server is too busy, the next sign-in replaces it.
   */
  async function renewHash({ id, passwordHash }: Account, password: string, meta: RequestMeta): Promise<void> {
    if (!passwordHash || !passwords.isOutdated(passwordHash)) return;
    try {
      const data = { passwordHash: await passwords.hash(password, meta) };
      await db.account.updateMany({ where: { id, passwordHash }, data });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  }

  /**
   * Returns the account. Accounts are cached for up to a second; a change invalidates the cache.
   */
  async function find(id: string): Promise<Account | undefined> {
    return cache.getOrLoad(id, async () => (await db.account.findUnique({ where: { id } })) ?? undefined);
  }

  async function findByEmail(email: string): Promise<Account | null> {
    return db.account.findUnique({ where: { email: normalizeEmail(email) } });
  }

  async function hasAdmin(): Promise<boolean> {
    return (await db.account.findFirst({ where: { role: 'admin', status: 'active' }, select: { id: true } })) !== null;
  }

  /** Returns at most `limit` accounts, newest first. */
  async function list(limit = 100): Promise<Account[]> {
    return db.account.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit });
  }

  /** Returns a page of the accounts, sorted by e-mail address. */
  async function listByEmail(page: PageRequest): Promise<Page<Account>> {
    const rows = await db.account.findMany({
      where: BY_EMAIL.after(page),
      orderBy: BY_EMAIL.orderBy,
      take: BY_EMAIL.take(page),
    });
    return BY_EMAIL.toPage(rows, page);
  }

  function isActive(account: Account | null | undefined): account is Account {
    return account?.status === 'active';
  }
}

/** Returns the error for an e-mail address that another account has. */
export const addressTaken = () =>
  conflict('There is already an account with this e-mail address.', { email: 'This address is taken.' });

const trimmedName = ({ name }: { name?: string }) => name?.trim() || undefined;
