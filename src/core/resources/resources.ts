/**
 * API resources: the audiences that access tokens can be meant for (RFC 8707), with their scopes
 * and what they mean.
 */

import type { ScopePreset } from '../../base/config/scope-preset.js';
import type { Database, Tool } from '../../base/db/open.js';
import type { InvalidationBus } from '../../base/invalidation-bus.js';
import { isForClients, ownScopes, type Scope, VALIDATE, VALIDATE_SCOPE } from './scope.js';

export interface Resource {
  id: string;
  /** By an administrator, who can change it. The others are built in, or belong to a tool. */
  registered: boolean;
  /** The absolute URI that goes into `aud`. */
  identifier: string;
  name: string;
  scopes: Scope[];
  accessTokenFormat: 'jwt' | 'opaque';
  /** In seconds; the general setting when undefined. */
  accessTokenTtlSeconds: number | undefined;
  /** False: only those in `clientIds` may ask for it. */
  openToAllClients: boolean;
  clientIds: string[];
  /** Whether agents that nobody answers for yet may ask for it. */
  openToUnclaimedAgents: boolean;
}

/** Of what nobody registered there is nothing that somebody chose. */
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
  /** The scopes and agent capabilities of our own API, beside the built-in ones. */
  preset: ScopePreset;
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
  let bySpelling = new Map([[spellingOf(own.identifier), own]]);
  let version = 0;
  let reading: Promise<void> = Promise.resolve();

  invalidationBus.on('resources', () => void reload().catch(() => {})); // the next announcement asks again
  await reload();
  return {
    own,
    find,
    isOpenTo,
    list,
    maxTokenSeconds,
    scopes,
    capabilities,
    describe,
    version: () => version,
    reload,
  };

  /**
   * By its identifier, however its URL is spelt: libraries write `https://mcp.example` as
   * `https://mcp.example/`. What goes into `aud` is how it was registered.
   */
  function find(identifier: string): Resource | undefined {
    return bySpelling.get(spellingOf(identifier));
  }

  /**
   * Whether this client may ask for tokens for it. Whether it is an unclaimed agent is for others
   * to know.
   */
  function isOpenTo({ openToAllClients, clientIds }: Resource, clientId: string): boolean {
    return openToAllClients || clientIds.includes(clientId);
  }

  function list(): readonly Resource[] {
    return all;
  }

  /** The longest life that any API gives its tokens, in seconds; 0 when none says so. */
  function maxTokenSeconds(): number {
    return Math.max(0, ...all.map((resource) => resource.accessTokenTtlSeconds ?? 0));
  }

  /** The names of all scopes that an app can ask for, each once. */
  function scopes(): string[] {
    return [...new Set(all.flatMap((resource) => resource.scopes.filter(isForClients).map((scope) => scope.name)))];
  }

  /** What agents may be given, each once. */
  function capabilities(): Scope[] {
    const marked = all.flatMap((resource) => resource.scopes.filter(({ capability }) => capability));
    return marked.filter(({ name }, n) => marked.findIndex((other) => other.name === name) === n);
  }

  /** The sentence for a scope, of the given resource if it has it. */
  function describe(scope: string, identifier?: string): string | undefined {
    const candidates = identifier ? [find(identifier), ...all] : all;
    return candidates.flatMap((resource) => resource?.scopes ?? []).find(({ name }) => name === scope)?.description;
  }

  /** One after the other: a slow reading must not come after a newer one and undo it. */
  function reload(): Promise<void> {
    reading = reading.catch(() => {}).then(read);
    return reading;
  }

  async function read(): Promise<void> {
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
    bySpelling = withTools([own, ...registered], await db.tool.findMany({ where: { url: { not: null } } }));
    all = [...bySpelling.values()];
    version += 1;
  }
}

/** Each tool with a URL is an audience too, if nobody registered it as one already. */
function withTools(resources: Resource[], tools: Tool[]): Map<string, Resource> {
  const bySpelling = new Map(resources.map((resource) => [spellingOf(resource.identifier), resource]));
  for (const tool of tools) {
    const spelling = spellingOf(tool.url!);
    const known = bySpelling.get(spelling) ?? forTool(tool);
    const others = known.scopes.filter((scope) => scope.name !== VALIDATE_SCOPE);
    bySpelling.set(spelling, { ...known, scopes: [...others, VALIDATE] });
  }
  return bySpelling;
}

const forTool = ({ id, url, name }: Tool): Resource => ({
  id,
  identifier: url!,
  name,
  scopes: [],
  ...UNREGISTERED,
});

/** A fragment is no spelling: nothing that has one is found. */
const spellingOf = (identifier: string) => URL.parse(identifier)?.href ?? identifier;
