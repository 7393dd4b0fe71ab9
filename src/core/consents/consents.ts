/**
 * Consents: the scopes and claims that a user allowed a client, across all sessions. Each
 * authorization gets a grant, which covers a part of the consent.
 */

import type { Base } from '../../base/base.js';
import type { Consent, Prisma } from '../../base/db/open.js';
import { createPageOrder, mapPage, type PageRequest } from '../../base/paging.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Accounts } from '../accounts/accounts.js';
import type { ActingUser } from '../accounts/acting-user.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';

/** The access that a user granted, by kind. */
export interface GrantedAccess {
  /** OpenID scopes, and API scopes requested without `resource`. */
  scopes: string[];
  /** Individually requested claims (OpenID Connect Core, section 5.5). */
  claims: string[];
  /** API scopes by resource identifier. */
  resources: Record<string, string[]>;
}

interface Deps {
  audit: Audit;
  accounts: Pick<Accounts, 'lockActing'>;
  oauthStorage: Pick<OAuthStorage, 'grants' | 'consents'>;
}

/** The access of a client without consent. */
export const NO_ACCESS: GrantedAccess = { scopes: [], claims: [], resources: {} };

const BY_NEWEST = createPageOrder({ list: 'consents', date: 'createdAt', key: 'id', direction: 'desc' });

export type Consents = ReturnType<typeof createConsents>;

export function createConsents(base: Base, { audit, accounts, oauthStorage }: Deps) {
  const { db, transact, clock, invalidationBus } = base;

  return { find, grant, deny, revoke, list };

  /** Returns the access that the user granted the client. */
  async function find(accountId: string, clientId: string): Promise<GrantedAccess> {
    const row = await oauthStorage.consents.find(accountId, clientId);
    return row ? toGrantedAccess(row) : NO_ACCESS;
  }

  /** Adds access to the user's consent for the client. Throws as `accounts.lockActing` does. */
  async function grant(user: ActingUser, clientId: string, access: GrantedAccess, meta: RequestMeta): Promise<void> {
    const accountId = user.account.id;
    const key = { accountId, clientId };
    await transact(async (uow) => {
      const { tx } = uow;
      await accounts.lockActing(user, tx);
      // The upsert locks the row, so that the merge does not overwrite a concurrent change.
      const row = await tx.consent.upsert({
        where: { accountId_clientId: key },
        create: { ...key, scopes: toJson(NO_ACCESS), createdAt: clock.now() },
        update: { clientId },
      });
      const scopes = toJson(merge(toGrantedAccess(row), access));
      await tx.consent.update({ where: { accountId_clientId: key }, data: { scopes } });
      await audit.record(uow, 'consent.granted', {
        by: accountId,
        ...key,
        meta,
        detail: { scopes: flattenScopes(access) },
      });
    });
  }

  /** Audits that the user denied access. Changes nothing. */
  async function deny(accountId: string, clientId: string, meta: RequestMeta): Promise<void> {
    await audit.record(undefined, 'consent.denied', { by: accountId, accountId, clientId, meta });
  }

  /** Revokes the consent and all tokens that the client has for this user. */
  async function revoke(accountId: string, clientId: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      await tx.consent.deleteMany({ where: { accountId, clientId } });
      await oauthStorage.grants.revokeWhere({ accountId, clientId }, tx);
      await audit.record(uow, 'consent.revoked', { by: accountId, accountId, clientId, meta });
      afterCommit(() => invalidationBus.publish('consents'));
    });
  }

  /** Returns a page of the user's consents with their clients, newest first. */
  async function list(accountId: string, page: PageRequest) {
    const rows = await db.consent.findMany({
      where: { accountId, ...BY_NEWEST.after(page) },
      orderBy: BY_NEWEST.orderBy,
      take: BY_NEWEST.take(page),
    });
    return mapPage(BY_NEWEST.toPage(rows, page), (row) => ({
      clientId: row.clientId,
      since: row.createdAt,
      scopes: flattenScopes(toGrantedAccess(row)),
    }));
  }
}

const toJson = (access: GrantedAccess) => access as unknown as Prisma.InputJsonObject;

const toGrantedAccess = (row: Pick<Consent, 'scopes'>) => row.scopes as unknown as GrantedAccess;

const union = (a: string[] = [], b: string[] = []) => [...new Set([...a, ...b])];

function merge(a: GrantedAccess, b: GrantedAccess): GrantedAccess {
  const identifiers = union(Object.keys(a.resources), Object.keys(b.resources));
  return {
    scopes: union(a.scopes, b.scopes),
    claims: union(a.claims, b.claims),
    resources: Object.fromEntries(identifiers.map((id) => [id, union(a.resources[id], b.resources[id])])),
  };
}

const flattenScopes = ({ scopes, claims, resources }: GrantedAccess) => [
  ...new Set([...scopes, ...claims, ...Object.values(resources).flat()]),
];
