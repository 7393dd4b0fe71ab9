/**
 * API keys: named secrets that act for an account in one organization, within narrower bounds. Only
 * the hash is stored.
 */
import { randomUUID } from 'node:crypto';
import { conflict, forbidden, invalidRequest, notFound } from '../../base/app-error.js';
import { addSeconds, type Clock, DAY_SECONDS } from '../../base/clock.js';
import { constantTimeEqual, sha256 } from '../../base/crypto.js';
import type { ApiKey, Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Account, Accounts } from '../accounts/accounts.js';
import type { Audit } from '../audit/audit.js';
import { nameOf, type Organizations } from '../organizations/organizations.js';
import type { Projects } from '../organizations/projects.js';
import { isAtLeast, minRole, type OrganizationRole } from '../organizations/roles.js';
import type { RequestMeta } from '../request-meta.js';
import {
  formatOf,
  formatWith,
  generateKey,
  KEY_FORMATS,
  type KeyFormat,
  type KeyFormatName,
  prefixOf,
} from './formats.js';
import type { KeyUsage } from './usage.js';

export type { ApiKey } from '../../base/db/open.js';

export const KEY_ROLES = ['viewer', 'operator', 'admin'] as const satisfies OrganizationRole[];
export type KeyRole = (typeof KEY_ROLES)[number];

export interface NewApiKey {
  name: string;
  format: KeyFormatName;
  /** The account's own organization when undefined. */
  organizationId?: string | undefined;
  projectId?: string | undefined;
  role?: KeyRole | undefined;
  scopes?: string[] | undefined;
  /** Seconds from now; never when null. */
  lifeSeconds: number | null;
}

/** A key that was just made: the secret is told here and never again. */
export interface FreshApiKey {
  key: string;
  record: ApiKey;
}

/** A living key and whom it acts for. */
export interface ApiKeyUse {
  key: ApiKey;
  account: Account;
  /** What it may in its organization now: its own role, or its owner's where that is less. */
  role: KeyRole;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  invalidationBus: InvalidationBus;
  accounts: Pick<Accounts, 'lock' | 'lockUnchanged'>;
  organizations: Organizations;
  projects: Projects;
  usage: KeyUsage;
  /** What scopes a key may be given. */
  scopes: () => string[];
}

/** Of one key. */
export const MAX_SCOPES = 50;
const MAX_KEYS = 200;
const MAX_GRACE_SECONDS = 30 * DAY_SECONDS;

export type ApiKeys = ReturnType<typeof createApiKeys>;

export function createApiKeys(deps: Deps) {
  const { db, clock, audit, invalidationBus, accounts, organizations, projects, usage, scopes } = deps;
  return { create, list, findActive, isActive, ownerOf, revoke, rotate, verify, removeAllFor };

  /**
   * Refuses with `invalid_request`, `insufficient_role` (never above the owner's own), `not_found`
   * or `conflict`.
   *
   * @param by the account that makes it, where that is not its owner
   */
  async function create(owner: Account, input: NewApiKey, meta: RequestMeta, by = owner.id): Promise<FreshApiKey> {
    const name = nameOf(input.name);
    if ((input.scopes ?? []).length > MAX_SCOPES)
      throw invalidRequest('Some values cannot be used.', { scopes: `Use at most ${MAX_SCOPES}.` });
    const unknown = (input.scopes ?? []).filter((scope) => !scopes().includes(scope));
    if (unknown.length > 0)
      throw invalidRequest('Some values cannot be used.', { scopes: `There is no ${unknown[0]}.` });
    const { organizationId, projectId } = await placeOf(owner, input);
    const own = await organizations.requireMember({ accountId: owner.id }, organizationId, 'viewer');
    const role = input.role ?? (own === 'owner' ? 'admin' : own);
    if (!isAtLeast(own, role)) throw forbidden('insufficient_role', 'A key never may more than whoever makes it.');
    const { key, data } = mint(KEY_FORMATS[input.format]);
    const expiresAt = input.lifeSeconds === null ? null : addSeconds(clock.now(), input.lifeSeconds);
    const record = await db.$transaction(async (tx) => {
      await accounts.lockUnchanged(owner, tx);
      await requireCapacity(owner.id, tx);
      const place = { accountId: owner.id, organizationId, projectId };
      const made = await tx.apiKey.create({
        data: { ...data, ...place, name, role, scopes: input.scopes ?? [], expiresAt, createdAt: clock.now() },
      });
      await note('api_key.created', made, by, meta, tx);
      return made;
    });
    return { key, record };
  }

  /** An account's keys, the newest first, with what was counted since the last writing. */
  async function list(accountId: string): Promise<ApiKey[]> {
    const rows = await db.apiKey.findMany({ where: { accountId }, orderBy: [{ createdAt: 'desc' }, { id: 'desc' }] });
    return rows.map(usage.withLatest);
  }

  /** One of an account's keys that works. Refuses with `not_found`. */
  async function findActive(accountId: string, id: string): Promise<ApiKey> {
    const row = await db.apiKey.findFirst({ where: { id, accountId } });
    if (!row || !isActive(row)) throw keyNotFound();
    return usage.withLatest(row);
  }

  function isActive({ revokedAt, expiresAt }: ApiKey): boolean {
    return !revokedAt && (!expiresAt || expiresAt > clock.now());
  }

  /** The account whose key it is, if there is one that was not revoked. */
  async function ownerOf(id: string): Promise<string | undefined> {
    return (await db.apiKey.findFirst({ where: { id, revokedAt: null } }))?.accountId;
  }

  /**
   * The key is refused from now on, on every process. Refuses with `not_found` what is not this
   * account's.
   */
  async function revoke(accountId: string, id: string, meta: RequestMeta, by = accountId): Promise<void> {
    await db.$transaction(async (tx) => {
      const where = { id, accountId, revokedAt: null };
      const { count } = await tx.apiKey.updateMany({ where, data: { revokedAt: clock.now() } });
      if (count === 0) throw keyNotFound();
      await note('api_key.revoked', await tx.apiKey.findUniqueOrThrow({ where: { id } }), by, meta, tx);
    });
    await invalidationBus.publish('api-keys', id);
  }

  /**
   * A new key like the old one; the old one works for `graceSeconds` more, at most until it would
   * have ended anyway. Refuses with `not_found` what is not this account's, or lives no more, and
   * with `conflict`.
   */
  async function rotate(accountId: string, id: string, graceSeconds: number, meta: RequestMeta): Promise<FreshApiKey> {
    if (graceSeconds > MAX_GRACE_SECONDS) {
      throw invalidRequest('Some values cannot be used.', { grace_period: 'Use at most 30d.' });
    }
    const fresh = await db.$transaction(async (tx) => {
      await accounts.lock(accountId, tx);
      const now = clock.now(); // not before: whoever had to wait would find what ended meanwhile alive
      // Locks it while it lives, so that of many who replace it at once without an overlap one
      // does.
      const living = { id, accountId, revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] };
      const { count } = await tx.apiKey.updateMany({ where: living, data: { revokedAt: null } });
      if (count === 0) throw keyNotFound();
      const old = await tx.apiKey.findUniqueOrThrow({ where: { id } });
      const ends = addSeconds(now, graceSeconds);
      if (!old.expiresAt || old.expiresAt > ends) await tx.apiKey.update({ where: { id }, data: { expiresAt: ends } });
      await requireCapacity(accountId, tx);
      const life = old.expiresAt && old.expiresAt.getTime() - old.createdAt.getTime();
      const { key, data: minted } = mint(formatWith(old.format));
      const { name, organizationId, projectId, role, scopes } = old;
      const record = await tx.apiKey.create({
        data: {
          ...minted,
          ...{ accountId, organizationId, projectId, name, role, scopes: scopes as string[], createdAt: now },
          expiresAt: life === null ? null : new Date(now.getTime() + life),
        },
      });
      await note('api_key.rotated', record, accountId, meta, tx, { replaced: id });
      return { key, record };
    });
    await invalidationBus.publish('api-keys', id);
    return fresh;
  }

  /**
   * The living key behind a text, and its account: found by its first characters, compared by its
   * hash in constant time. What a use of it may is decided where it is used; that its owner is
   * still a member is a part of being alive.
   */
  async function verify(text: string): Promise<ApiKeyUse | 'expired' | undefined> {
    const format = formatOf(text);
    if (!format) return undefined;
    const hash = sha256(text);
    const candidates = await db.apiKey.findMany({
      where: { prefix: prefixOf(text, format), revokedAt: null },
      include: { account: true },
    });
    const found = candidates.find((candidate) => constantTimeEqual(candidate.hash, hash));
    if (found?.account.status !== 'active') return undefined;
    if (found.expiresAt && found.expiresAt <= clock.now()) return 'expired';
    const { account, ...key } = found;
    const own = await organizations.roleOf({ accountId: account.id }, key.organizationId);
    return own && { key, account, role: minRole(key.role as KeyRole, own) as KeyRole };
  }

  /**
   * Deletes all keys of an account, or those made before a moment. Part of a verb that announces
   * the account. Returns how many.
   */
  async function removeAllFor(accountId: string, tx: Queryable, before?: Date): Promise<number> {
    const where = { accountId, ...(before && { createdAt: { lt: before } }) };
    return (await tx.apiKey.deleteMany({ where })).count;
  }

  async function placeOf(owner: Account, { organizationId, projectId }: NewApiKey) {
    if (projectId) {
      const project = await projects.find({ accountId: owner.id }, projectId);
      if (organizationId && organizationId !== project.organizationId) throw notFound('There is no such project.');
      return { organizationId: project.organizationId, projectId };
    }
    return {
      organizationId: organizationId ?? (await organizations.personalOrganizationId(owner.id)),
      projectId: null,
    };
  }

  /** For one key more. The account must be held, so that those made at once are counted too. */
  async function requireCapacity(accountId: string, tx: Queryable): Promise<void> {
    const living = { accountId, revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: clock.now() } }] };
    if ((await tx.apiKey.count({ where: living })) < MAX_KEYS) return;
    throw conflict(`An account can have at most ${MAX_KEYS} keys.`);
  }

  function mint(format: KeyFormat) {
    const key = generateKey(format);
    const id = `key_${randomUUID()}`;
    return { key, data: { id, format: format.prefix, prefix: prefixOf(key, format), hash: sha256(key) } };
  }

  async function note(
    action: 'api_key.created' | 'api_key.revoked' | 'api_key.rotated',
    { id, organizationId, accountId }: ApiKey,
    by: string,
    meta: RequestMeta,
    tx: Queryable,
    more: Record<string, string> = {},
  ): Promise<void> {
    const actor = { kind: 'account' as const, id: by };
    await audit.record({ action, actor, accountId, organizationId, meta, detail: { key: id, ...more } }, tx);
  }
}

const keyNotFound = () => notFound('There is no such key.');
