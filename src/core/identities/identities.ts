/**
 * Identities: who somebody is at another issuer. An account is found by issuer and subject there,
 * never by an e-mail address.
 */

import { conflict, invalidRequest, isUniqueViolation } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import type { Account, Database, FederatedIdentity, Queryable } from '../../base/db/open.js';
import { isStorable } from '../../base/text.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import { type RequestMeta, systemMeta } from '../request-meta.js';
import type { GivenTokens, TokenVault } from './token-vault.js';

/** As the other issuer names somebody. */
export interface ExternalIdentity {
  issuer: string;
  /** Never given to somebody else there. */
  subject: string;
}

/** Somebody who came just now. */
export interface ExternalEmailState extends ExternalIdentity {
  /** What the provider gave for them, where the keeper asked that it be kept. */
  tokensToKeep?: GivenTokens | undefined;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  tokenVault: Pick<TokenVault, 'store'>;
}

const MAX_SUBJECT_LENGTH = 255;

export type Identities = ReturnType<typeof createIdentities>;

export function createIdentities({ db, clock, audit, tokenVault }: Deps) {
  return { find, findOwn, list, isLinked, hasAny, link, linkByAdmin, recordUse, remove, removeAllFor };

  /** The account that is linked to somebody elsewhere. */
  async function find({ issuer, subject }: ExternalIdentity): Promise<Account | undefined> {
    if (!isSubject(subject)) return undefined;
    const where = { issuer_subject: { issuer, subject } };
    const identity = await db.federatedIdentity.findUnique({ where, include: { account: true } });
    return identity?.account;
  }

  /** One of those of an account that is active. */
  async function findOwn(accountId: string, id: string): Promise<FederatedIdentity | undefined> {
    const where = { id, accountId, account: { status: 'active' } };
    return (await db.federatedIdentity.findFirst({ where })) ?? undefined;
  }

  /** All that an account is linked to, the first one first. */
  async function list(accountId: string, tx: Queryable = db): Promise<FederatedIdentity[]> {
    return tx.federatedIdentity.findMany({ where: { accountId }, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }] });
  }

  async function isLinked(accountId: string, { issuer, subject }: ExternalIdentity, tx: Queryable): Promise<boolean> {
    return (await tx.federatedIdentity.count({ where: { accountId, issuer, subject } })) > 0;
  }

  /** Whether an account is linked to anybody at this issuer. */
  async function hasAny(accountId: string, issuer: string, tx: Queryable): Promise<boolean> {
    return (await tx.federatedIdentity.count({ where: { accountId, issuer } })) > 0;
  }

  /**
   * Links an account, in the transaction of the verb that made sure of the person. Throws what
   * `isUniqueViolation` knows when they are linked already.
   *
   * @param more what else happened by it, for the audit trail
   */
  async function link(
    account: Account,
    { issuer, subject, tokensToKeep }: ExternalEmailState,
    email: string | undefined,
    meta: RequestMeta,
    tx: Queryable,
    more: { cleared?: boolean } = {},
  ): Promise<void> {
    const now = clock.now();
    const data = { accountId: account.id, issuer, subject, email, createdAt: now, lastUsedAt: now };
    const { id } = await tx.federatedIdentity.create({ data });
    if (tokensToKeep) await tokenVault.store(id, tokensToKeep, tx);
    await noteLink({ kind: 'account', id: account.id }, account, { issuer, subject, ...more }, meta, tx);
  }

  /**
   * Takes a link away, in the transaction of the verb that made sure that another way in is left.
   */
  async function remove({ id, accountId, issuer, subject }: FederatedIdentity, meta: RequestMeta, tx: Queryable) {
    await tx.federatedIdentity.delete({ where: { id } });
    const actor = { kind: 'account' as const, id: accountId };
    await audit.record({ action: 'identity.unlinked', actor, accountId, meta, detail: { issuer, subject } }, tx);
  }

  /** Who somebody is elsewhere counts no more. Part of a verb that announces the account. */
  async function removeAllFor(accountId: string, tx: Queryable): Promise<void> {
    await tx.federatedIdentity.deleteMany({ where: { accountId } });
  }

  /** The keeper says who somebody is elsewhere. Refuses with `invalid_request` or `conflict`. */
  async function linkByAdmin(account: Account, { issuer, subject }: ExternalIdentity): Promise<void> {
    if (!isSubject(subject)) throw invalidRequest('A subject has 1 to 255 characters.');
    try {
      await db.$transaction(async (tx) => {
        const data = { accountId: account.id, issuer, subject, createdAt: clock.now() };
        await tx.federatedIdentity.create({ data });
        await noteLink({ kind: 'system' }, account, { issuer, subject }, systemMeta, tx);
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw conflict('This person is linked to an account already.');
    }
  }

  async function noteLink(
    actor: AuditEntry['actor'],
    { id }: Account,
    detail: ExternalIdentity & { cleared?: boolean },
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    await audit.record({ action: 'identity.linked', actor, accountId: id, meta, detail: { ...detail } }, tx);
  }

  /**
   * Somebody came by it, and this is the e-mail address that they have there now. The account's own
   * stays.
   */
  async function recordUse(
    { issuer, subject, tokensToKeep }: ExternalEmailState,
    email: string | undefined,
  ): Promise<void> {
    const data = { lastUsedAt: clock.now(), ...(email !== undefined && { email }) };
    const where = { issuer, subject };
    if (!tokensToKeep) {
      await db.federatedIdentity.updateMany({ where, data });
      return;
    }
    await db.$transaction(async (tx) => {
      const { count } = await tx.federatedIdentity.updateMany({ where, data });
      if (count === 0) return; // unlinked at this moment
      const { id } = await tx.federatedIdentity.findUniqueOrThrow({ where: { issuer_subject: where } });
      await tokenVault.store(id, tokensToKeep, tx);
    });
  }
}

/** As OpenID Connect Core, 2 has it. */
export const isSubject = (text: string) => text !== '' && text.length <= MAX_SUBJECT_LENGTH && isStorable(text);
