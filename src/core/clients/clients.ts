/**
 * OAuth clients. An administrator creates them, they register dynamically (RFC 7591), or a metadata
 * document describes them (both in registration.ts). Agents are clients too.
 */
import { randomUUID } from 'node:crypto';
import { conflict, invalidRequest, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Base } from '../../base/base.js';
import type { Client, Prisma } from '../../base/db/open.js';
import type { UnitOfWork } from '../../base/db/transaction.js';
import type { RequestMeta } from '../../base/request-meta.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { type ActiveAgents, isAgentId } from '../agents/active-agents.js';
import { toClient } from '../agents/client.js';
import { type Audit, SYSTEM } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { Resources } from '../resources/resources.js';
import {
  type ClientMetadata,
  clientName,
  firstPartyError,
  MetadataError,
  normalizeMetadata,
  workloadError,
} from './metadata.js';
import { hashSecret, makeSecret } from './secrets.js';

export type { Client } from '../../base/db/open.js';

export interface NewClient {
  metadata: ClientMetadata;
  firstParty?: boolean;
  pkceRequired?: boolean;
}

interface Deps {
  audit: Audit;
  oauthStorage: Pick<OAuthStorage, 'grants'>;
  activeAgents: Pick<ActiveAgents, 'find'>;
  resources: Pick<Resources, 'clientScopes'>;
}

export type Clients = ReturnType<typeof createClients>;

export function createClients(base: Base, { audit, oauthStorage, activeAgents, resources }: Deps) {
  const { db, transact, clock, invalidationBus } = base;
  const cache = createTtlCache<Client>({ clock });
  invalidationBus.on('clients', cache.invalidate);

  return { create, find, list, remove, rotateSecret };

  /**
   * Creates a client for an administrator. Its secret, if any, is returned only once. Throws
   * `invalid_request`, or `conflict` if the SPIFFE ID is taken.
   */
  async function create({ metadata, firstParty = false, pkceRequired = true }: NewClient, meta: RequestMeta) {
    const spiffeError = workloadError(metadata);
    if (spiffeError) throw invalidRequest(spiffeError, { spiffe_id: spiffeError });
    const id = (metadata.spiffe_id as string | undefined) ?? randomUUID();
    const normalized = {
      token_endpoint_auth_method: 'client_secret_basic',
      ...metadata,
      ...convertMetadataError(() =>
        normalizeMetadata(metadata, {
          anonymous: false,
          byAdmin: true,
          scopes: resources.clientScopes(),
          redirectHosts: [],
          bounds: base.config.requestBounds,
        }),
      ),
    };
    const redirectUris = (metadata.redirect_uris ?? []) as string[];
    const redirectUriError = firstParty && firstPartyError(redirectUris);
    if (redirectUriError) throw invalidRequest(redirectUriError, { redirect_uris: redirectUriError });
    const secret = /^client_secret_/.test(String(normalized.token_endpoint_auth_method)) ? makeSecret() : undefined;
    const client = await transact(async (uow) => {
      const row = await uow.tx.client.create({
        data: {
          id,
          name: clientName(normalized),
          metadata: normalized as Prisma.InputJsonObject,
          secretHash: secret && hashSecret(secret),
          origin: 'admin',
          firstParty,
          pkceRequired,
          createdAt: clock.now(),
        },
      });
      const detail = { firstParty, pkceRequired };
      await audit.record(uow, 'client.created', { by: SYSTEM, clientId: id, meta, detail });
      invalidateAfterCommit(uow, id);
      return row;
    }).catch((error) => {
      throw isUniqueViolation(error) ? conflict('A client with this SPIFFE ID already exists.') : error;
    });
    return { client, secret };
  }

  /**
   * Returns the client. Clients are cached for up to a second. A change invalidates the cache in
   * every process.
   */
  async function find(id: string): Promise<Client | undefined> {
    if (isAgentId(id)) {
      const agent = await activeAgents.find(id);
      return agent && toClient(agent);
    }
    return cache.getOrLoad(id, async () => (await db.client.findUnique({ where: { id } })) ?? undefined);
  }

  /** Returns at most `limit` clients, newest first. */
  async function list(limit = 100): Promise<Client[]> {
    return db.client.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit });
  }

  /** Deletes a client with its grants and consents. Throws `not_found`. */
  async function remove(id: string, meta: RequestMeta): Promise<void> {
    await transact(async (uow) => {
      const { tx, afterCommit } = uow;
      const { count } = await tx.client.deleteMany({ where: { id } });
      if (count === 0) throw notFound('Client not found.');
      await oauthStorage.grants.revokeWhere({ clientIds: [id] }, tx);
      await tx.consent.deleteMany({ where: { clientId: id } });
      await tx.resourceClient.deleteMany({ where: { clientId: id } });
      await audit.record(uow, 'client.deleted', { by: SYSTEM, clientId: id, meta });
      invalidateAfterCommit(uow, id);
      afterCommit(() => invalidationBus.publish('resources'));
    });
  }

  /**
   * Replaces the client secret. The new one is returned only once. Throws `not_found` if the client
   * does not exist or has no secret.
   */
  async function rotateSecret(id: string, meta: RequestMeta): Promise<string> {
    const secret = makeSecret();
    await transact(async (uow) => {
      const { count } = await uow.tx.client.updateMany({
        where: { id, secretHash: { not: null } },
        data: { secretHash: hashSecret(secret) },
      });
      if (count === 0) throw notFound('The client does not exist or has no secret.');
      await audit.record(uow, 'client.updated', { by: SYSTEM, clientId: id, meta, detail: { secret: true } });
      invalidateAfterCommit(uow, id);
    });
    return secret;
  }

  function invalidateAfterCommit({ afterCommit }: UnitOfWork, id: string): void {
    afterCommit(() => invalidationBus.publish('clients', id));
  }
}

/** Runs `normalize`, and throws `invalid_request` instead of a `MetadataError`. */
function convertMetadataError<Result>(normalize: () => Result): Result {
  try {
    return normalize();
  } catch (error) {
    if (error instanceof MetadataError) throw invalidRequest(error.message);
    throw error;
  }
}
