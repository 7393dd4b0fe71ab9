/** API resources: the audiences of access tokens (RFC 8707), with their scopes. */

import type { ScopePreset } from '../../base/config/scope-preset.js';
import type { Database, Tool } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { isForClients, OPENID_SCOPES, ownScopes, type Scope, VALIDATE, VALIDATE_SCOPE } from './scope.js';

export interface Resource {
  id: string;
  /** Registered by an administrator, who can change it. Others are built in or belong to a tool. */
  registered: boolean;
  /** The absolute URI that becomes `aud`. */
  identifier: string;
  name: string;
  scopes: Scope[];
  accessTokenFormat: 'jwt' | 'opaque';
  /** Undefined: ACCESS_TOKEN_TTL. */
  accessTokenTtlSeconds: number | undefined;
  /** False: only clients in `clientIds` can request tokens for it. */
  openToAllClients: boolean;
  clientIds: string[];
  /** Whether agents without an owner can request tokens for it. */
  openToUnclaimedAgents: boolean;
}

/** The settings of a resource that no administrator registered. */
export const UNREGISTERED = {
  registered: false,
  accessTokenFormat: 'jwt',
  accessTokenTtlSeconds: undefined,
  openToAllClients: true,
  clientIds: [],
  openToUnclaimedAgents: false,
} satisfies Partial<Resource>;

interface Deps {
  db: Database;
  invalidationBus: InvalidationBus;
  issuer: string;
  brandName: string;
  /** The scopes and agent capabilities of Signet's own API, besides the built-in ones. */
  preset: ScopePreset;
}

/** An agent capability. */
export interface Capability extends Scope {
  /** Sorts the catalog. Does not change when others are added or deleted. */
  position: string;
}

export type Resources = Awaited<ReturnType<typeof createResources>>;

export async function createResources({ db, invalidationBus, issuer, brandName, preset }: Deps) {
  const own: Resource = {
    id: 'own',
    identifier: `${issuer}/api/v1`,
    name: `${brandName} API`,
    scopes: ownScopes(preset),
    ...UNREGISTERED,
    openToUnclaimedAgents: true,
  };
  let all: Resource[] = [own];
  let byIdentifier = new Map([[normalizeUrl(own.identifier), own]]);
  let version = 0;
  let lastRead: Promise<void> = Promise.resolve();

  // After a failed reload, the next invalidation reloads again.
  invalidationBus.on('resources', () => void reload().catch(() => {}));
  await reload();
  return {
    own,
    find,
    isOpenTo,
    list,
    maxTokenSeconds,
    scopes,
    clientScopes,
    capabilities,
    describe,
    version: () => version,
    reload,
  };

  /**
   * Finds a resource by any spelling of its URL: libraries write `https://mcp.example` as
   * `https://mcp.example/`. Tokens carry the registered spelling in `aud`.
   */
  function find(identifier: string): Resource | undefined {
    return byIdentifier.get(normalizeUrl(identifier));
  }

  /**
   * Reports whether the client can request tokens for the resource. The caller must check unclaimed
   * agents itself.
   */
  function isOpenTo({ openToAllClients, clientIds }: Resource, clientId: string): boolean {
    return openToAllClients || clientIds.includes(clientId);
  }

  function list(): readonly Resource[] {
    return all;
  }

  /** Returns the longest token lifetime of any resource, in seconds. 0 if no resource sets one. */
  function maxTokenSeconds(): number {
    return Math.max(0, ...all.map((resource) => resource.accessTokenTtlSeconds ?? 0));
  }

  /** Returns every scope that a client can have: those of OpenID and those of all resources. */
  function clientScopes(): string[] {
    return [...OPENID_SCOPES, ...scopes()];
  }

  /** Returns the names of all scopes of resources that clients can request, without duplicates. */
  function scopes(): string[] {
    return [...new Set(all.flatMap((resource) => resource.scopes.filter(isForClients).map((scope) => scope.name)))];
  }

  /** Returns all capabilities of agents in the order of their positions, without duplicates. */
  function capabilities(): Capability[] {
    const byName = new Map<string, Capability>();
    for (const resource of all) {
      for (const [index, scope] of resource.scopes.entries()) {
        const isNew = scope.capability && !byName.has(scope.name);
        if (isNew) byName.set(scope.name, { ...scope, position: positionOf(resource, scope, index) });
      }
    }
    return [...byName.values()];
  }

  /** The scopes of the own API have the order of the configuration, others that of their names. */
  function positionOf({ id }: Resource, { name }: Scope, index: number): string {
    return id === own.id ? `0 ${String(index).padStart(6, '0')}` : `1 ${id} ${name}`;
  }

  /** Returns the description of a scope, preferring the resource with this identifier. */
  function describe(scope: string, identifier?: string): string | undefined {
    const candidates = identifier ? [find(identifier), ...all] : all;
    return candidates.flatMap((resource) => resource?.scopes ?? []).find(({ name }) => name === scope)?.description;
  }

  /**
   * Reads all resources again. Reads are serialized: a slow one must not overwrite a newer one.
   */
  function reload(): Promise<void> {
    lastRead = lastRead.catch(() => {}).then(readResources);
    return lastRead;
  }

  async function readResources(): Promise<void> {
    const rows = await db.resource.findMany({
      include: { scopes: { orderBy: { name: 'asc' } }, clients: true },
      orderBy: { id: 'asc' },
    });
    const registered = rows.map((row) => ({
      id: row.id,
      registered: true,
      identifier: row.identifier,
      name: row.name,
      scopes: row.scopes.map(({ name, description, byDefault, capability }) => ({
        name,
        description,
        byDefault,
        capability,
      })),
      accessTokenFormat: row.accessTokenFormat === 'opaque' ? ('opaque' as const) : ('jwt' as const),
      accessTokenTtlSeconds: row.accessTokenTtlSeconds ?? undefined,
      openToAllClients: row.openToAllClients,
      clientIds: row.clients.map(({ clientId }) => clientId),
      openToUnclaimedAgents: row.openToUnclaimedAgents,
    }));
    byIdentifier = addTools([own, ...registered], await db.tool.findMany({ where: { url: { not: null } } }));
    all = [...byIdentifier.values()];
    version += 1;
  }
}

/** Adds each tool with a URL as a resource, unless the URL is already registered. */
function addTools(resources: Resource[], tools: Tool[]): Map<string, Resource> {
  const byIdentifier = new Map(resources.map((resource) => [normalizeUrl(resource.identifier), resource]));
  for (const tool of tools) {
    const key = normalizeUrl(tool.url!);
    const resource = byIdentifier.get(key) ?? toResource(tool);
    const otherScopes = resource.scopes.filter((scope) => scope.name !== VALIDATE_SCOPE);
    byIdentifier.set(key, { ...resource, scopes: [...otherScopes, VALIDATE] });
  }
  return byIdentifier;
}

const toResource = ({ id, url, name }: Tool): Resource => ({
  id,
  identifier: url!,
  name,
  scopes: [],
  ...UNREGISTERED,
});

/** Normalizes a URL. Keeps the fragment, so that a URL with a fragment matches no resource. */
const normalizeUrl = (identifier: string) => URL.parse(identifier)?.href ?? identifier;
