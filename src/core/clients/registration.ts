/**
 * Clients that no administrator created: they register themselves (RFC 7591, RFC 7592), or a
 * metadata document describes them.
 */
import type { Base } from '../../base/base.js';
import { sha256 } from '../../base/crypto.js';
import type { Client, Prisma } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import type { Audit, AuditActor } from '../audit/audit.js';
import type { Resources } from '../resources/resources.js';
import { type ClientMetadata, clientName, normalizeMetadata } from './metadata.js';
import { hashSecret } from './secrets.js';
import type { UnusedClientLimits } from './unused-client-limits.js';

interface Deps {
  audit: Audit;
  resources: Pick<Resources, 'clientScopes'>;
  unusedClientLimits: UnusedClientLimits;
}

export type ClientRegistration = ReturnType<typeof createClientRegistration>;

export function createClientRegistration(base: Base, { audit, resources, unusedClientLimits }: Deps) {
  const { db, transact, clock, invalidationBus } = base;
  const { redirectHosts, requestBounds } = base.config;

  return { normalize, saveRegistered, saveDescribed, expireDescribed, findByToken, setToken };

  /** Returns the normalized metadata of a client that registers itself. Throws `MetadataError`. */
  function normalize(
    metadata: ClientMetadata,
    { anonymous, home }: { anonymous: boolean; home?: string },
  ): ClientMetadata {
    return normalizeMetadata(metadata, {
      anonymous,
      byAdmin: false,
      scopes: resources.clientScopes(),
      redirectHosts,
      bounds: requestBounds,
      home,
    });
  }

  /**
   * Stores a client that registered or updated itself. Throws as `unusedClientLimits.makeRoom`
   * does, if the client is new.
   *
   * @param secret the plain client secret. Undefined: the stored one does not change
   */
  async function saveRegistered(
    id: string,
    metadata: ClientMetadata,
    secret: string | undefined,
    meta: RequestMeta,
  ): Promise<void> {
    const columns = {
      name: clientName(metadata),
      metadata: metadata as Prisma.InputJsonObject,
      ...(secret && { secretHash: hashSecret(secret) }),
    };
    const isNew = (await db.client.count({ where: { id } })) === 0;
    const network = isNew ? await unusedClientLimits.makeRoom(meta) : undefined;
    await transact(async (uow) => {
      const { tx } = uow;
      const { count } = await tx.client.updateMany({ where: { id }, data: columns });
      if (count === 0)
        await tx.client.create({ data: { id, ...columns, network, origin: 'registration', createdAt: clock.now() } });
      const action = count === 0 ? 'client.registered' : 'client.updated';
      await audit.record(uow, action, { by: clientActor(id), clientId: id, meta });
      invalidateAfterCommit(uow, id);
    });
  }

  /**
   * Stores a client from its metadata document, which is not fetched again before `freshUntil`.
   * Throws as `unusedClientLimits.makeRoom` does, if the client is new.
   */
  async function saveDescribed(
    id: string,
    metadata: ClientMetadata,
    freshUntil: Date,
    meta: RequestMeta,
  ): Promise<Client> {
    const columns = {
      name: clientName(metadata),
      metadata: metadata as Prisma.InputJsonObject,
      documentFreshUntil: freshUntil,
    };
    const previous = await db.client.findUnique({ where: { id } });
    const network = previous ? undefined : await unusedClientLimits.makeRoom(meta);
    return transact(async (uow) => {
      const stored = await uow.tx.client.upsert({
        where: { id },
        create: { id, ...columns, network, origin: 'document', createdAt: clock.now() },
        update: columns,
      });
      const action = previous ? 'client.updated' : 'client.registered';
      if (!previous || redirectUrisOf(previous.metadata) !== redirectUrisOf(metadata)) {
        await audit.record(uow, action, { by: clientActor(id), clientId: id, meta });
      }
      invalidateAfterCommit(uow, id);
      return stored;
    });
  }

  /** Makes a stored metadata document unusable until it is fetched again. */
  async function expireDescribed(id: string): Promise<void> {
    await db.client.updateMany({ where: { id, origin: 'document' }, data: { documentFreshUntil: new Date(0) } });
    await invalidationBus.publish('clients', id);
  }

  /** Returns the client that manages itself with this registration access token (RFC 7592). */
  async function findByToken(token: string): Promise<Client | null> {
    return db.client.findUnique({ where: { registrationTokenHash: sha256(token) } });
  }

  /** Sets the registration access token of a client (RFC 7592), or deletes it. */
  async function setToken(id: string, token: string | null): Promise<void> {
    await db.client.updateMany({ where: { id }, data: { registrationTokenHash: token && sha256(token) } });
    await invalidationBus.publish('clients', id);
  }

  function invalidateAfterCommit({ afterCommit }: UnitOfWork, id: string): void {
    afterCommit(() => invalidationBus.publish('clients', id));
  }
}

const clientActor = (id: string): AuditActor => ({ kind: 'client', id });

const redirectUrisOf = (metadata: unknown) => JSON.stringify((metadata as ClientMetadata).redirect_uris);
