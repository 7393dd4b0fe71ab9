/**
 * Consents: what a person allowed a client, remembered across logins. What a single authorization
 * got of it is its grant.
 */

import type { Clock } from '../../base/clock.js';
import type { Consent, Database, Prisma } from '../../base/db/open.js';
import type { Prepared, Statement } from '../../base/db/prepared.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { RequestMeta } from '../request-meta.js';

/** What may be passed on, by kind. */
export interface GrantedAccess {
  /** OpenID scopes, and API scopes that no resource was named for. */
  scopes: string[];
  /** Single claims (OIDC Core 5.5). */
  claims: string[];
  /** API scopes by the identifier of their resource. */
  resources: Record<string, string[]>;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  oauthStorage: OAuthStorage;
  invalidationBus: InvalidationBus;
  prepared?: Prepared;
}

export const NOTHING: GrantedAccess = { scopes: [], claims: [], resources: {} };

export type Consents = ReturnType<typeof createConsents>;

export function createConsents({ db, clock, audit, oauthStorage, invalidationBus, prepared }: Deps) {
  return { find, grant, deny, revoke, list };

  async function find(accountId: string, clientId: string): Promise<GrantedAccess> {
    const row = prepared
      ? (await prepared.run<Pick<Consent, 'scopes'>>(FIND_CONSENT, [accountId, clientId])).rows[0]
      : await db.consent.findUnique({ where: { accountId_clientId: { accountId, clientId } } });
    return row ? toGrantedAccess(row) : NOTHING;
  }

  /** Adds to what the client may have. */
  async function grant(accountId: string, clientId: string, more: GrantedAccess, meta: RequestMeta): Promise<void> {
    const key = { accountId, clientId };
    await db.$transaction(async (tx) => {
      // Written first, so that the row is ours: what is given or withdrawn at the same moment is
      // not overwritten.
      const row = await tx.consent.upsert({
        where: { accountId_clientId: key },
        create: { ...key, scopes: toJson(NOTHING), createdAt: clock.now() },
        update: { clientId },
      });
      const scopes = toJson(merge(toGrantedAccess(row), more));
      await tx.consent.update({ where: { accountId_clientId: key }, data: { scopes } });
      await audit.record(
        {
          action: 'consent.granted',
          actor: { kind: 'account', id: accountId },
          ...key,
          meta,
          detail: { scopes: flatten(more) },
        },
        tx,
      );
    });
  }

  /** Notes that the person said no. Nothing changes. */
  async function deny(accountId: string, clientId: string, meta: RequestMeta): Promise<void> {
    await audit.record({
      action: 'consent.denied',
      actor: { kind: 'account', id: accountId },
      accountId,
      clientId,
      meta,
    });
  }

  /** Takes everything back: the consent, and all tokens that the client has for this person. */
  async function revoke(accountId: string, clientId: string, meta: RequestMeta): Promise<void> {
    await db.$transaction(async (tx) => {
      await tx.consent.deleteMany({ where: { accountId, clientId } });
      await oauthStorage.grants.revokeWhere({ accountId, clientId }, tx);
      await audit.record(
        { action: 'consent.revoked', actor: { kind: 'account', id: accountId }, accountId, clientId, meta },
        tx,
      );
    });
    await invalidationBus.publish('consents');
  }

  /** All clients that the person allowed something, the newest first. */
  async function list(accountId: string) {
    const rows = await db.consent.findMany({ where: { accountId }, orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] });
    return rows.map((row) => ({ clientId: row.clientId, since: row.createdAt, scopes: flatten(toGrantedAccess(row)) }));
  }
}

/** With every authorization, on PostgreSQL (see base/db/prepared). */
const FIND_CONSENT: Statement = {
  name: 'find-consent',
  text: 'SELECT "scopes" FROM "Consent" WHERE "accountId" = $1 AND "clientId" = $2',
};

const toJson = (allowance: GrantedAccess) => allowance as unknown as Prisma.InputJsonObject;

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

const flatten = ({ scopes, claims, resources }: GrantedAccess) => [
  ...new Set([...scopes, ...claims, ...Object.values(resources).flat()]),
];
