/**
 * External identities of accounts. An account is found by issuer and subject, never by e-mail
 * address.
 */

import { conflict, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Account, Database, FederatedIdentity, Queryable } from '../../base/db/open.js';
import type { Transact } from '../../base/db/transaction.js';
import { type RequestMeta, systemMeta } from '../../base/request-meta.js';
import { isStorable } from '../../base/text.js';
import type { AccountLimits } from '../account-limits/account-limits.js';
import { type Audit, SYSTEM } from '../audit/audit.js';
import type { ReceivedTokens, TokenVault } from './token-vault.js';

/** A user of another issuer. */
export interface ExternalIdentity {
  issuer: string;
  /** Identifies the user at the issuer, which never assigns it to another user. */
  subject: string;
}

/** An authenticated identity, with the tokens of the provider. */
export interface IdentityWithTokens extends ExternalIdentity {
  /** The tokens to store. Undefined if the settings do not name the provider. */
  tokensToKeep?: ReceivedTokens | undefined;
}

interface Deps {
  db: Database;
  transact: Transact;
  clock: Clock;
  audit: Audit;
  accountLimits: AccountLimits;
  tokenVault: Pick<TokenVault, 'store'>;
}

const MAX_SUBJECT_LENGTH = 255;

export type Identities = ReturnType<typeof createIdentities>;

export function createIdentities({ db, transact, clock, audit, accountLimits, tokenVault }: Deps) {
  return { find, findOwn, list, isLinked, hasAny, link, linkByAdmin, recordUse, remove, removeAllFor };

  /** Returns the account that is linked to an identity. */
  async function find({ issuer, subject }: ExternalIdentity): Promise<Account | undefined> {
    if (!isSubject(subject)) return undefined;
    const where = { issuer_subject: { issuer, subject } };
    const identity = await db.federatedIdentity.findUnique({ where, include: { account: true } });
    return identity?.account;
  }

  /** Returns an identity of an active account by its id. */
  async function findOwn(accountId: string, id: string): Promise<FederatedIdentity | undefined> {
    const where = { id, accountId, account: { status: 'active' } };
    return (await db.federatedIdentity.findFirst({ where })) ?? undefined;
  }

  /** Returns the identities of an account, the oldest first. */
  async function list(accountId: string, tx: Queryable = db): Promise<FederatedIdentity[]> {
    return tx.federatedIdentity.findMany({ where: { accountId }, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] });
  }

  /** Reports whether the account is linked to the identity. */
  async function isLinked(accountId: string, { issuer, subject }: ExternalIdentity, tx: Queryable): Promise<boolean> {
    return (await tx.federatedIdentity.count({ where: { accountId, issuer, subject } })) > 0;
  }

  /** Reports whether the account is linked to any user of the issuer. */
  async function hasAny(accountId: string, issuer: string, tx: Queryable): Promise<boolean> {
    return (await tx.federatedIdentity.count({ where: { accountId, issuer } })) > 0;
  }

  /**
   * Links an identity to an account in the caller's transaction. The caller must have authenticated
   * the user and locked the account. Throws a unique violation if the identity is already linked,
   * or `AppError` `conflict` if the account has too many.
   *
   * @param auditDetail additional details for the audit log
   */
  async function link(
    account: Account,
    { issuer, subject, tokensToKeep }: IdentityWithTokens,
    email: string | undefined,
    meta: RequestMeta,
    tx: Queryable,
    auditDetail: { cleared?: boolean } = {},
  ): Promise<void> {
    await accountLimits.requireRoom('identities', account, tx);
    const now = clock.now();
    const data = { accountId: account.id, issuer, subject, email, createdAt: now, lastUsedAt: now };
    const { id } = await tx.federatedIdentity.create({ data });
    if (tokensToKeep) await tokenVault.store(id, tokensToKeep, tx);
    const detail = { issuer, subject, ...auditDetail };
    await audit.record({ tx }, 'identity.linked', { by: account.id, accountId: account.id, meta, detail });
  }

  /** Deletes a link. The caller must have checked that the account has another sign-in method. */
  async function remove({ id, accountId, issuer, subject }: FederatedIdentity, meta: RequestMeta, tx: Queryable) {
    await tx.federatedIdentity.delete({ where: { id } });
    const event = { by: accountId, accountId, meta, detail: { issuer, subject } };
    await audit.record({ tx }, 'identity.unlinked', event);
  }

  /** Deletes all links of an account. The caller invalidates the account's cache entries. */
  async function removeAllFor(accountId: string, tx: Queryable): Promise<void> {
    await tx.federatedIdentity.deleteMany({ where: { accountId } });
  }

  /**
   * Links an identity on behalf of an administrator. Throws `AppError` `invalid_request` or
   * `conflict`.
   */
  async function linkByAdmin(account: Account, { issuer, subject }: ExternalIdentity): Promise<void> {
    if (!isSubject(subject)) throw invalidRequest('The subject must have 1 to 255 characters.');
    try {
      await transact(async (uow) => {
        const accountId = account.id;
        await uow.tx.federatedIdentity.create({ data: { accountId, issuer, subject, createdAt: clock.now() } });
        const event = { by: SYSTEM, accountId, meta: systemMeta, detail: { issuer, subject } };
        await audit.record(uow, 'identity.linked', event);
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('This identity is already linked to an account.');
    }
  }

  /**
   * Records a sign-in by the identity, with its current e-mail address and tokens. The address of
   * the account does not change.
   */
  async function recordUse(
    { issuer, subject, tokensToKeep }: IdentityWithTokens,
    email: string | undefined,
  ): Promise<void> {
    const data = { lastUsedAt: clock.now(), ...(email !== undefined && { email }) };
    const where = { issuer, subject };
    if (!tokensToKeep) {
      await db.federatedIdentity.updateMany({ where, data });
      return;
    }
    await transact(async ({ tx }) => {
      const { count } = await tx.federatedIdentity.updateMany({ where, data });
      if (count === 0) return; // unlinked in the meantime
      const { id } = await tx.federatedIdentity.findUniqueOrThrow({ where: { issuer_subject: where } });
      await tokenVault.store(id, tokensToKeep, tx);
    });
  }
}

/** Reports whether the text can be a subject (OpenID Connect Core, section 2). */
export const isSubject = (text: string) => text !== '' && text.length <= MAX_SUBJECT_LENGTH && isStorable(text);
