/** Registers, changes and deletes API resources for administrators. */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Transact } from '../../base/db/transaction.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit, AuditActor } from '../audit/audit.js';
import type { Resource, Resources } from './resources.js';
import { type ResourceInput, validateResource } from './rules.js';

/** Omitted fields do not change. */
export type ResourceChange = Partial<Omit<ResourceInput, 'identifier' | 'accessTokenTtlSeconds'>> & {
  /** Null restores ACCESS_TOKEN_TTL. */
  accessTokenTtlSeconds?: number | null | undefined;
};

interface Deps {
  transact: Transact;
  audit: Audit;
  invalidationBus: InvalidationBus;
  resources: Resources;
  /** Scope names of OpenID Connect, which no API can define. */
  reservedScopes: readonly string[];
}

/** APIs are cached as a whole. */
const MAX_RESOURCES = 1000;

export function createResourceRegistry({ transact, audit, invalidationBus, resources, reservedScopes }: Deps) {
  return { create, update, remove };

  /**
   * Registers an API. Throws `AppError` `invalid_request` by field, or `conflict` if the identifier
   * is taken or there are too many.
   */
  async function create(input: ResourceInput, by: AuditActor, meta: RequestMeta): Promise<Resource> {
    validateResource(input, reservedScopes);
    const { scopes, clientIds, identifier, accessTokenTtlSeconds, ...rest } = input;
    const existing = resources.find(identifier);
    // The URL of a tool can be registered as an API, which gives it scopes and settings.
    if (existing && (existing.registered || existing.id === resources.own.id)) throw duplicateIdentifier();
    const data = {
      ...rest,
      identifier,
      accessTokenTtlSeconds: accessTokenTtlSeconds ?? null,
      scopes: { create: scopes },
      clients: { create: unique(clientIds).map((clientId) => ({ clientId })) },
    };
    const { id } = await transact(async (uow) => {
      if ((await uow.tx.resource.count()) >= MAX_RESOURCES)
        throw conflict(`There can be at most ${MAX_RESOURCES} APIs.`);
      const row = await uow.tx.resource.create({ data });
      await audit.record(uow, 'resource.created', { by, meta, detail: { resource: identifier } });
      uow.afterCommit(() => invalidationBus.publish('resources', row.id));
      return row;
    }).catch((error) => {
      throw isUniqueViolation(error) ? duplicateIdentifier() : error;
    });
    return reloadAndFind(id);
  }

  /**
   * Changes an API. Scopes and clients replace all earlier ones. Throws `AppError` `not_found`,
   * `conflict` if it is built in, or `invalid_request` by field.
   */
  async function update(id: string, change: ResourceChange, by: AuditActor, meta: RequestMeta): Promise<Resource> {
    const { identifier } = requireRegistered(id);
    const { scopes, clientIds, accessTokenTtlSeconds, ...rest } = change;
    validateResource(
      { ...rest, scopes, clientIds, accessTokenTtlSeconds: accessTokenTtlSeconds ?? undefined },
      reservedScopes,
    );
    await transact(async (uow) => {
      const { tx } = uow;
      // This update comes first, because it locks the row: concurrent changes run one at a time.
      const { count } = await tx.resource.updateMany({
        where: { id },
        data: { ...rest, ...(accessTokenTtlSeconds !== undefined && { accessTokenTtlSeconds }) },
      });
      if (count === 0) throw resourceNotFound();
      if (scopes) {
        await tx.resourceScope.deleteMany({ where: { resourceId: id } });
        await tx.resourceScope.createMany({ data: scopes.map((scope) => ({ ...scope, resourceId: id })) });
      }
      if (clientIds) {
        await tx.resourceClient.deleteMany({ where: { resourceId: id } });
        await tx.resourceClient.createMany({
          data: unique(clientIds).map((clientId) => ({ clientId, resourceId: id })),
        });
      }
      await audit.record(uow, 'resource.updated', { by, meta, detail: { resource: identifier } });
      uow.afterCommit(() => invalidationBus.publish('resources', id));
    });
    return reloadAndFind(id);
  }

  /**
   * Deletes an API. No more tokens are issued for it; issued ones stay valid until they expire.
   * Throws `AppError` `not_found`, or `conflict` if it is built in.
   */
  async function remove(id: string, by: AuditActor, meta: RequestMeta): Promise<void> {
    const { identifier } = requireRegistered(id);
    await transact(async (uow) => {
      const { count } = await uow.tx.resource.deleteMany({ where: { id } });
      if (count === 0) throw resourceNotFound();
      await audit.record(uow, 'resource.deleted', { by, meta, detail: { resource: identifier } });
      uow.afterCommit(() => invalidationBus.publish('resources', id));
    });
    await resources.reload();
  }

  function requireRegistered(id: string): Resource {
    const resource = findById(id);
    if (!resource.registered) throw conflict('This API is built in, or belongs to a tool. It cannot be changed here.');
    return resource;
  }

  /** Returns the API after a reload. Throws `not_found` if another process has deleted it. */
  async function reloadAndFind(id: string): Promise<Resource> {
    await resources.reload();
    return findById(id);
  }

  function findById(id: string): Resource {
    const resource = resources.list().find((candidate) => candidate.id === id);
    if (!resource) throw resourceNotFound();
    return resource;
  }
}

const unique = (items: string[]) => [...new Set(items)];
const duplicateIdentifier = () =>
  conflict('There is already an API with this identifier.', { identifier: 'This identifier is taken.' });
const resourceNotFound = () => notFound('There is no such API.');
