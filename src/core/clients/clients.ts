/**
 * OAuth clients: the applications that ask us who somebody is. Registered by themselves (RFC 7591)
 * or made by an administrator.
 */
import { randomUUID } from 'node:crypto';
import { conflict, invalidRequest, isUniqueViolation, notFound } from '../../base/app-error.js';
import type { Clock } from '../../base/clock.js';
import { constantTimeEqual, randomToken, sha256 } from '../../base/crypto.js';
import type { Client, Database, Prisma } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { createTtlCache } from '../../base/ttl-cache.js';
import { type ActiveAgents, isAgentId } from '../agents/active-agents.js';
import { toClient } from '../agents/client.js';
import type { Audit } from '../audit/audit.js';
import type { OAuthStorage } from '../oauth-storage/oauth-storage.js';
import type { RequestMeta } from '../request-meta.js';
import { type ClientMetadata, firstPartyError, MetadataError, normalizeMetadata, workloadError } from './metadata.js';

export type { Client } from '../../base/db/open.js';

export interface NewClient {
  metadata: ClientMetadata;
  firstParty?: boolean;
  pkceRequired?: boolean;
}

interface Deps {
  db: Database;
  clock: Clock;
  audit: Audit;
  oauthStorage: OAuthStorage;
  invalidationBus: InvalidationBus;
  activeAgents: Pick<ActiveAgents, 'find'>;
  /** All scopes that exist now. */
  scopes: () => string[];
  redirectHosts: string[];
}

/** What is stored begins with this, so that it is never taken for a secret itself. */
const HASH_PREFIX = 'sha256:';

export type Clients = ReturnType<typeof createClients>;

export function createClients(deps: Deps) {
  const { db, clock, audit, oauthStorage, invalidationBus, activeAgents, scopes, redirectHosts } = deps;
  const recent = createTtlCache<Client>({ clock });
  invalidationBus.on('clients', recent.invalidate);

  return {
    create,
    find,
    list,
    remove,
    saveRegistered,
    saveDescribed,
    normalize,
    rotateSecret,
    findByRegistrationToken,
    setRegistrationToken,
    makeSecret,
    hashSecret,
    isSecret,
  };

  /**
   * Makes a client for an administrator. The secret, if it has one, is returned here and never
   * again.
   */
  async function create({ metadata, firstParty = false, pkceRequired = true }: NewClient, meta: RequestMeta) {
    const noWorkload = workloadError(metadata);
    if (noWorkload) throw invalidRequest(noWorkload, { spiffe_id: noWorkload });
    const id = (metadata.spiffe_id as string | undefined) ?? randomUUID();
    const settled = {
      token_endpoint_auth_method: 'client_secret_basic',
      ...metadata,
      ...throwIfInvalid(() =>
        normalizeMetadata(metadata, { anonymous: false, byAdmin: true, scopes: scopes(), redirectHosts: [] }),
      ),
    };
    const redirectUris = (metadata.redirect_uris ?? []) as string[];
    const problem = firstParty && firstPartyError(redirectUris);
    if (problem) throw invalidRequest(problem, { redirect_uris: problem });
    const secret = /^client_secret_/.test(String(settled.token_endpoint_auth_method)) ? makeSecret() : undefined;
    const client = await db
      .$transaction(async (tx) => {
        const row = await tx.client.create({
          data: {
            id,
            name: nameOf(settled),
            metadata: settled as Prisma.InputJsonObject,
            secretHash: secret && hashSecret(secret),
            origin: 'admin',
            firstParty,
            pkceRequired,
            createdAt: clock.now(),
          },
        });
        await audit.record(
          {
            action: 'client.created',
            actor: { kind: 'system' },
            clientId: id,
            meta,
            detail: { firstParty, pkceRequired },
          },
          tx,
        );
        return row;
      })
      .catch((error) => {
        throw isUniqueViolation(error) ? conflict('There is a client with this SPIFFE ID already.') : error;
      });
    await invalidationBus.publish('clients', id);
    return { client, secret };
  }

  /**
   * The client, as it was at most a second ago; every process is also told at once when one
   * changes. Agents are clients too.
   */
  async function find(id: string): Promise<Client | undefined> {
    if (isAgentId(id)) {
      const agent = await activeAgents.find(id);
      return agent && toClient(agent);
    }
    return recent.getOrLoad(id, async () => (await db.client.findUnique({ where: { id } })) ?? undefined);
  }

  /** The newest first. */
  async function list(limit = 100): Promise<Client[]> {
    return db.client.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit });
  }

  /** Deletes a client with all that was granted to it. Refuses with `not_found`. */
  async function remove(id: string, meta: RequestMeta): Promise<void> {
    await db.$transaction(async (tx) => {
      const { count } = await tx.client.deleteMany({ where: { id } });
      if (count === 0) throw notFound('There is no such client.');
      await oauthStorage.grants.revokeWhere({ clientId: id }, tx);
      await tx.consent.deleteMany({ where: { clientId: id } });
      await tx.resourceClient.deleteMany({ where: { clientId: id } });
      await audit.record({ action: 'client.deleted', actor: { kind: 'system' }, clientId: id, meta }, tx);
    });
    await invalidationBus.publish('clients', id);
    await invalidationBus.publish('resources');
  }

  /** What we make of metadata that a client registers for itself. Throws a MetadataFault. */
  function normalize(
    metadata: ClientMetadata,
    { anonymous, home }: { anonymous: boolean; home?: string },
  ): ClientMetadata {
    return normalizeMetadata(metadata, { anonymous, byAdmin: false, scopes: scopes(), redirectHosts, home });
  }

  /**
   * Stores a client that registered or changed itself. `secret` is the plain one, or absent when it
   * stays as it is.
   */
  async function saveRegistered(
    id: string,
    metadata: ClientMetadata,
    secret: string | undefined,
    meta: RequestMeta,
  ): Promise<void> {
    const row = {
      name: nameOf(metadata),
      metadata: metadata as Prisma.InputJsonObject,
      ...(secret && { secretHash: hashSecret(secret) }),
    };
    await db.$transaction(async (tx) => {
      const { count } = await tx.client.updateMany({ where: { id }, data: row });
      if (count === 0) await tx.client.create({ data: { id, ...row, origin: 'registration', createdAt: clock.now() } });
      const action = count === 0 ? 'client.registered' : 'client.updated';
      await audit.record({ action, actor: { kind: 'client', id }, clientId: id, meta }, tx);
    });
    await invalidationBus.publish('clients', id);
  }

  /** Stores what a client says of itself in the document that its id leads to. */
  async function saveDescribed(
    id: string,
    metadata: ClientMetadata,
    freshUntil: Date,
    meta: RequestMeta,
  ): Promise<Client> {
    const row = {
      name: nameOf(metadata),
      metadata: metadata as Prisma.InputJsonObject,
      documentFreshUntil: freshUntil,
    };
    const before = await db.client.findUnique({ where: { id } });
    const client = await db.$transaction(async (tx) => {
      const where = { id };
      const stored = await tx.client.upsert({
        where,
        create: { id, ...row, origin: 'document', createdAt: clock.now() },
        update: row,
      });
      const action = before ? 'client.updated' : 'client.registered';
      if (!before || redirectsOf(before.metadata) !== redirectsOf(metadata)) {
        await audit.record({ action, actor: { kind: 'client', id }, clientId: id, meta }, tx);
      }
      return stored;
    });
    await invalidationBus.publish('clients', id);
    return client;
  }

  /**
   * Gives a client another secret; the old one is refused from then on. Returned here and never
   * again.
   */
  async function rotateSecret(id: string, meta: RequestMeta): Promise<string> {
    const secret = makeSecret();
    await db.$transaction(async (tx) => {
      const { count } = await tx.client.updateMany({
        where: { id, secretHash: { not: null } },
        data: { secretHash: hashSecret(secret) },
      });
      if (count === 0) throw notFound('There is no such client with a secret.');
      await audit.record(
        { action: 'client.updated', actor: { kind: 'system' }, clientId: id, meta, detail: { secret: true } },
        tx,
      );
    });
    await invalidationBus.publish('clients', id);
    return secret;
  }

  async function findByRegistrationToken(token: string): Promise<Client | null> {
    return db.client.findUnique({ where: { registrationTokenHash: sha256(token) } });
  }

  /** The token with which a client manages itself (RFC 7592); null takes it away. */
  async function setRegistrationToken(id: string, token: string | null): Promise<void> {
    await db.client.updateMany({ where: { id }, data: { registrationTokenHash: token && sha256(token) } });
    await invalidationBus.publish('clients', id);
  }

  function makeSecret(): string {
    return randomToken();
  }

  function hashSecret(secret: string): string {
    return HASH_PREFIX + sha256(secret);
  }

  /** Whether it is the secret that was hashed. In constant time. */
  function isSecret(candidate: string, hash: string | null | undefined): boolean {
    return Boolean(hash) && constantTimeEqual(hashSecret(candidate), hash!);
  }
}

const nameOf = (metadata: ClientMetadata) =>
  typeof metadata.client_name === 'string' ? metadata.client_name : undefined;

const redirectsOf = (metadata: unknown) => JSON.stringify((metadata as ClientMetadata).redirect_uris);

function throwIfInvalid<Result>(normalize: () => Result): Result {
  try {
    return normalize();
  } catch (error) {
    if (error instanceof MetadataError) throw invalidRequest(error.message);
    throw error;
  }
}
