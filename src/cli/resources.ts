/** resource create, resource list, resource update, resource delete. */

import { notFound } from '../base/app-error.js';
import { durationSeconds } from '../base/duration.js';
import type { Core } from '../core/core.js';
import { systemMeta } from '../core/request-meta.js';
import { serializeResource } from '../core/resources/representation.js';
import type { Resource } from '../core/resources/resources.js';
import type { Scope } from '../core/resources/scope.js';
import { type Arguments, type Command, type Option, table } from './command.js';

const BY_ADMIN = { kind: 'system' } as const;
const GENERAL_TTL = 'default';
/** `memory:read=Read what your assistant remembers.` */
const SCOPE = /^([^=\s]+)=(.+)$/s;

const SETTINGS: Record<string, Option> = {
  scope: {
    type: 'string',
    description: 'a scope and its sentence on the consent page: read="Read your files."',
    multiple: true,
  },
  'extra-scope': {
    type: 'string',
    description: 'the same, for a scope that apps only get when they ask for it',
    multiple: true,
  },
  capability: {
    type: 'string',
    description: 'the name of one of these scopes that agents may be given',
    multiple: true,
  },
  format: { type: 'string', description: 'of its access tokens: jwt or opaque; jwt when not given' },
  ttl: {
    type: 'string',
    description: `how long its access tokens live, such as 15m; ${GENERAL_TTL} = ACCESS_TOKEN_TTL`,
  },
  client: {
    type: 'string',
    description: 'a client_id that may ask for it; all may when none is given',
    multiple: true,
  },
  'unclaimed-agents': { type: 'boolean', description: 'agents that nobody answers for may ask for it' },
};

export const resourceCommands: Command[] = [
  {
    name: 'resource create',
    description:
      'Registers an API by the URI that goes into `aud` of its tokens. A running server knows it within a second.',
    takes: ['identifier'],
    options: {
      name: { type: 'string', description: 'what people read on the consent page', required: true },
      ...SETTINGS,
    },
    errors: settingErrors,
    async run(args, { open }) {
      const { core } = await open();
      const made = await core.resourceRegistry.create(
        {
          identifier: args.at(0),
          name: args.text('name')!,
          scopes: scopesOf(args),
          accessTokenFormat: formatOf(args) ?? 'jwt',
          accessTokenTtlSeconds: ttlOf(args) ?? undefined,
          openToAllClients: !args.has('client'),
          clientIds: args.list('client'),
          openToUnclaimedAgents: args.has('unclaimed-agents'),
        },
        BY_ADMIN,
        systemMeta,
      );
      return answer(core, made);
    },
  },
  {
    name: 'resource list',
    description: 'The APIs that apps can ask for tokens for.',
    async run(_args, { open }) {
      const { core } = await open();
      const resources = core.resources.list();
      return {
        json: resources.map(serializeResource),
        text: table([
          ['IDENTIFIER', 'NAME', 'TOKENS', 'CLIENTS', 'SCOPES'],
          ...resources.map((resource) => [
            resource.identifier,
            resource.name,
            tokensOf(resource),
            clientsOf(resource),
            resource.scopes.map(({ name }) => name).join(' '),
          ]),
        ]),
      };
    },
  },
  {
    name: 'resource update',
    description: 'Changes an API. What is not given stays; scopes and clients replace those that were there.',
    takes: ['identifier'],
    options: {
      name: { type: 'string', description: 'what people read on the consent page' },
      ...SETTINGS,
      'all-clients': { type: 'boolean', description: 'every client may ask for it' },
      'no-unclaimed-agents': { type: 'boolean', description: 'agents that nobody answers for may not ask for it' },
    },
    errors: (args) => [
      ...settingErrors(args),
      ...(args.has('client') && args.has('all-clients') ? ['Give --client or --all-clients, not both.'] : []),
      ...(args.has('unclaimed-agents') && args.has('no-unclaimed-agents')
        ? ['Give --unclaimed-agents or --no-unclaimed-agents, not both.']
        : []),
    ],
    async run(args, { open }) {
      const { core } = await open();
      const { id } = findIn(core, args.at(0));
      const changed = await core.resourceRegistry.update(
        id,
        {
          name: args.text('name'),
          scopes: args.has('scope') || args.has('extra-scope') ? scopesOf(args) : undefined,
          accessTokenFormat: formatOf(args),
          accessTokenTtlSeconds: ttlOf(args),
          ...(args.has('client') && { openToAllClients: false, clientIds: args.list('client') }),
          ...(args.has('all-clients') && { openToAllClients: true, clientIds: [] }),
          ...(args.has('unclaimed-agents') && { openToUnclaimedAgents: true }),
          ...(args.has('no-unclaimed-agents') && { openToUnclaimedAgents: false }),
        },
        BY_ADMIN,
        systemMeta,
      );
      return answer(core, changed);
    },
  },
  {
    name: 'resource delete',
    description:
      'Takes an API away. No token is made for it from then on; those that are out there end when they expire.',
    takes: ['identifier'],
    async run(args, { open }) {
      const { core } = await open();
      const { id, identifier } = findIn(core, args.at(0));
      await core.resourceRegistry.remove(id, BY_ADMIN, systemMeta);
      return { json: { identifier, deleted: true }, text: `${identifier} is deleted.` };
    },
  },
];

function settingErrors(args: Arguments): string[] {
  const [format, ttl] = [args.text('format'), args.text('ttl')];
  return [
    ...(format !== undefined && !/^(jwt|opaque)$/.test(format) ? ['--format must be jwt or opaque.'] : []),
    ...(ttl !== undefined && ttl !== GENERAL_TTL && durationSeconds(ttl) === undefined
      ? [`--ttl must be a duration such as 15m, or ${GENERAL_TTL}.`]
      : []),
    ...[...args.list('scope'), ...args.list('extra-scope')]
      .filter((text) => !SCOPE.test(text))
      .map((text) => `"${text}" is no scope with its sentence, such as read="Read your files.".`),
    ...args
      .list('capability')
      .filter((name) => !scopesOf(args).some((scope) => scope.name === name))
      .map((name) => `--capability ${name} is none of the scopes that are given.`),
  ];
}

function scopesOf(args: Arguments): Scope[] {
  const toScope = (byDefault: boolean) => (text: string) => {
    const [, name = '', description = ''] = SCOPE.exec(text) ?? [];
    return { name, description, byDefault, capability: args.list('capability').includes(name) };
  };
  return [...args.list('scope').map(toScope(true)), ...args.list('extra-scope').map(toScope(false))];
}

const formatOf = (args: Arguments) => args.text('format') as 'jwt' | 'opaque' | undefined;

/** null: the general setting. */
function ttlOf(args: Arguments): number | null | undefined {
  const ttl = args.text('ttl');
  if (ttl === undefined) return undefined;
  return ttl === GENERAL_TTL ? null : durationSeconds(ttl);
}

function findIn({ resources }: Core, identifier: string): Resource {
  const resource = resources.find(identifier);
  if (!resource) throw notFound('There is no such API.');
  return resource;
}

/**
 * A client may be named before it comes, as one that a document describes: what is mistyped is
 * told, and not refused.
 */
async function answer({ clients }: Core, resource: Resource) {
  const found = await Promise.all(resource.clientIds.map((id) => clients.find(id)));
  const unknown = resource.clientIds.filter((_, index) => !found[index]);
  return {
    json: serializeResource(resource),
    text: table([
      ['identifier', resource.identifier],
      ['name', resource.name],
      ['scopes', resource.scopes.map(({ name }) => name).join(' ')],
      ['tokens', tokensOf(resource)],
      ['clients', clientsOf(resource)],
      ...unknown.map((id) => ['unknown', `${id}: there is no such client yet`]),
    ]),
  };
}

function tokensOf({ accessTokenFormat: format, accessTokenTtlSeconds: seconds }: Resource): string {
  return seconds === undefined ? format : `${format} ${seconds}s`;
}

const clientsOf = ({ openToAllClients, clientIds }: Resource) =>
  openToAllClients ? 'all' : `${clientIds.length} listed`;
