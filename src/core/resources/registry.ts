/** How administrators register API resources, change them and take them away. */

import { conflict, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Database, Queryable } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import type { Audit, AuditEntry } from '../audit/audit.js';
import type { RequestMeta } from '../request-meta.js';
import type { Resource, Resources } from './resources.js';
import { type ResourceInput, validateResource } from './rules.js';

/** Who does it: an administrator, or the keeper at a terminal. */
type By = AuditEntry['actor'];
export type ResourceChange = Partial<Omit<ResourceInput, 'identifier' | 'accessTokenTtlSeconds'>> & {
  /** null: the general setting. */
  accessTokenTtlSeconds?: number | null | undefined;
};

interface Deps {
  db: Database;
  audit: Audit;
  invalidationBus: InvalidationBus;
  resources: Resources;
  /** Scopes that are no API's. */
  reservedScopes: readonly string[];
}

export function createResourceRegistry({ db, audit, invalidationBus, resources, reservedScopes }: Deps) {
  return { create, update, remove };

  /** Refuses with `invalid_request` by field, or `conflict` when the identifier is taken. */
  async function create(input: ResourceInput, by: By, meta: RequestMeta): Promise<Resource> {
    validateResource(input, reservedScopes);
    const { scopes, clientIds, identifier, accessTokenTtlSeconds, ...rest } = input;
    const known = resources.find(identifier);
    if (known && (known.registered || known.id === resources.own.id)) throw duplicateIdentifier(); // a tool's URL may become an API
    const data = {
      ...rest,
      identifier,
      accessTokenTtlSeconds: accessTokenTtlSeconds ?? null,
      scopes: { create: scopes },
      clients: { create: unique(clientIds).map((clientId) => ({ clientId })) },
    };
    const id = await db
      .$transaction(async (tx) => {
        const row = await tx.resource.create({ data });
        await note('resource.created', identifier, by, meta, tx);
        return row.id;
      })
      .catch((error) => {
        throw isUniqueViolation(error) ? duplicateIdentifier() : error;
      });
    return withPublish(id);
  }

  /**
   * What is left out stays; scopes and clients replace those that were there. Refuses with
   * `not_found` or `invalid_request`.
   */
  async function update(id: string, change: ResourceChange, by: By, meta: RequestMeta): Promise<Resource> {
    const { identifier } = requireRegistered(id);
    const { scopes, clientIds, accessTokenTtlSeconds, ...rest } = change;
    validateResource(
      { ...rest, scopes, clientIds, accessTokenTtlSeconds: accessTokenTtlSeconds ?? undefined },
      reservedScopes,
    );
    await db.$transaction(async (tx) => {
      // Written first, so that the row is ours: of two changes at once, neither leaves half of the
      // other.
      const { count } = await tx.resource.updateMany({
        where: { id },
        data: { ...rest, ...(accessTokenTtlSeconds !== undefined && { accessTokenTtlSeconds }) },
      });
      if (count === 0) throw unknownResource();
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
      await note('resource.updated', identifier, by, meta, tx);
    });
    return withPublish(id);
  }

  /**
   * No token is made for it from then on; those that are out there end when they expire. Refuses
   * with `not_found`.
   */
  async function remove(id: string, by: By, meta: RequestMeta): Promise<void> {
    const { identifier } = requireRegistered(id);
    await db.$transaction(async (tx) => {
      const { count } = await tx.resource.deleteMany({ where: { id } });
      if (count === 0) throw unknownResource();
      await note('resource.deleted', identifier, by, meta, tx);
    });
    await tell(id);
  }

  function requireRegistered(id: string): Resource {
    const resource = resources.list().find((one) => one.id === id);
    if (!resource) throw unknownResource();
    if (!resource.registered) throw conflict('This API is built in, or belongs to a tool: it cannot be changed here.');
    return resource;
  }

  async function withPublish(id: string): Promise<Resource> {
    await tell(id);
    const resource = resources.list().find((one) => one.id === id);
    if (!resource) throw unknownResource(); // taken away again meanwhile
    return resource;
  }

  async function tell(id: string): Promise<void> {
    await resources.reload();
    await invalidationBus.publish('resources', id);
  }

  async function note(
    action: 'resource.created' | 'resource.updated' | 'resource.deleted',
    identifier: string,
    actor: By,
    meta: RequestMeta,
    tx: Queryable,
  ): Promise<void> {
    await audit.record({ action, actor, meta, detail: { resource: identifier } }, tx);
  }
}

const unique = (items: string[]) => [...new Set(items)];
const duplicateIdentifier = () =>
  conflict('There is an API with this identifier already.', { identifier: 'There is an API with it already.' });
const unknownResource = () => notFound('There is no such API.');
