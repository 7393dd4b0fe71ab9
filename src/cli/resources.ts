/** `signet resource …`: manages the APIs for which clients can request tokens. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { notFound } from '../base/app-error.js';
import { systemMeta } from '../base/request-meta.js';
import type { Core } from '../core/core.js';
import { serializeResource } from '../core/resources/representation.js';
import type { Resource } from '../core/resources/resources.js';
import type { Scope } from '../core/resources/scope.js';
import { parseDuration } from '../kit/duration.js';
import { type Cli, collect, table, throwUsageErrors, withExamples } from './command.js';

const BY_SYSTEM = { kind: 'system' } as const;
/** The value of `--ttl` for the lifetime in the setting ACCESS_TOKEN_TTL. */
const DEFAULT_TTL = 'default';
/** Matches `notes:read=Read your notes.` */
const SCOPE_OPTION = /^([^=\s]+)=(.+)$/s;

interface ResourceOptions {
  name?: string;
  scope?: [name: string, description: string][];
  extraScope?: [name: string, description: string][];
  capability?: string[];
  format?: 'jwt' | 'opaque';
  /** In seconds. */
  ttl?: number | typeof DEFAULT_TTL;
  client?: string[];
  allClients?: boolean;
  unclaimedAgents?: boolean;
}

/** Adds the commands for APIs. */
export function addResourceCommands(program: Command, cli: Cli): void {
  const resource = program.command('resource').description('Manages the APIs that clients can request tokens for.');

  const create = withResourceOptions(
    resource
      .command('create')
      .argument('<identifier>', 'URI of the API, which becomes the `aud` of its tokens')
      .description('Registers an API. A running server knows it within a second.')
      .summary('Registers an API.')
      .requiredOption('--name <name>', 'name shown on the consent page (required)'),
  ).action(
    cli.action(async (identifier: string, options: ResourceOptions) => {
      throwUsageErrors(checkCapabilities(options));
      const { core } = await cli.open();
      const created = await core.resourceRegistry.create(
        {
          identifier,
          name: options.name!,
          scopes: scopesOf(options),
          accessTokenFormat: options.format ?? 'jwt',
          accessTokenTtlSeconds: options.ttl === DEFAULT_TTL ? undefined : options.ttl,
          openToAllClients: !options.client,
          clientIds: options.client ?? [],
          openToUnclaimedAgents: options.unclaimedAgents ?? false,
        },
        BY_SYSTEM,
        systemMeta,
      );
      return describe(core, created);
    }),
  );
  withExamples(
    create,
    'resource create https://notes.example/v1 --name Notes --scope "notes:read=Read your notes."',
    'resource create https://files.example --name Files --scope "read=Read files." --extra-scope "write=Change files."',
  );

  const list = resource
    .command('list')
    .description('Lists the registered APIs.')
    .action(
      cli.action(async () => {
        const { core } = await cli.open();
        const resources = core.resources.list();
        return {
          json: resources.map(serializeResource),
          text: table([
            ['IDENTIFIER', 'NAME', 'TOKENS', 'CLIENTS', 'SCOPES'],
            ...resources.map((listed) => [
              listed.identifier,
              listed.name,
              describeTokens(listed),
              describeClients(listed),
              listed.scopes.map(({ name }) => name).join(' '),
            ]),
          ]),
        };
      }),
    );
  withExamples(list, 'resource list');

  const update = withResourceOptions(
    resource
      .command('update')
      .argument('<identifier>', 'URI of the API')
      .description('Changes an API. Scopes and clients replace the previous ones; omitted options change nothing.')
      .summary('Changes an API.')
      .option('--name <name>', 'name shown on the consent page'),
  )
    .addOption(new Option('--all-clients', 'all clients can request tokens').conflicts('client'))
    .option('--no-unclaimed-agents', 'unclaimed agents cannot request tokens')
    .action(
      cli.action(async (identifier: string, options: ResourceOptions) => {
        throwUsageErrors(checkCapabilities(options));
        const { core } = await cli.open();
        const { id } = requireResource(core, identifier);
        const { client: clientIds, unclaimedAgents } = options;
        const updated = await core.resourceRegistry.update(
          id,
          {
            name: options.name,
            scopes: options.scope || options.extraScope ? scopesOf(options) : undefined,
            accessTokenFormat: options.format,
            accessTokenTtlSeconds: options.ttl === DEFAULT_TTL ? null : options.ttl,
            ...(clientIds && { openToAllClients: false, clientIds }),
            ...(options.allClients && { openToAllClients: true, clientIds: [] }),
            ...(unclaimedAgents !== undefined && { openToUnclaimedAgents: unclaimedAgents }),
          },
          BY_SYSTEM,
          systemMeta,
        );
        return describe(core, updated);
      }),
    );
  withExamples(
    update,
    'resource update https://notes.example/v1 --ttl 5m',
    'resource update https://notes.example/v1 --all-clients',
  );

  const remove = resource
    .command('delete')
    .argument('<identifier>', 'URI of the API')
    .description('Deletes an API. No new tokens are issued for it; issued tokens stay valid until they expire.')
    .summary('Deletes an API.')
    .action(
      cli.action(async (identifier: string) => {
        const { core } = await cli.open();
        const target = requireResource(core, identifier);
        await core.resourceRegistry.remove(target.id, BY_SYSTEM, systemMeta);
        return { json: { identifier: target.identifier, deleted: true }, text: `${target.identifier} is deleted.` };
      }),
    );
  withExamples(remove, 'resource delete https://notes.example/v1');
}

const withResourceOptions = (command: Command) =>
  command
    .option('--scope <name=description>', 'scope, with its description for the consent page (repeatable)', collectScope)
    .option(
      '--extra-scope <name=description>',
      'scope that clients get only if they request it (repeatable)',
      collectScope,
    )
    .option('--capability <scope>', 'scope that can be granted to agents (repeatable)', collect)
    .addOption(new Option('--format <format>', 'format of its access tokens').choices(['jwt', 'opaque']))
    .option(
      '--ttl <duration>',
      `lifetime of its access tokens, such as 15m; ${DEFAULT_TTL}: ACCESS_TOKEN_TTL`,
      parseTtl,
    )
    .option('--client <client_id>', 'client that can request tokens (repeatable); default: all clients', collect)
    .option('--unclaimed-agents', 'unclaimed agents can request tokens');

function collectScope(text: string, previous: [string, string][] = []): [string, string][] {
  const [, name, description] = SCOPE_OPTION.exec(text) ?? [];
  if (!name || !description) throw new InvalidArgumentError('Must have the form read="Read your files.".');
  return [...previous, [name, description]];
}

function parseTtl(text: string): number | typeof DEFAULT_TTL {
  if (text === DEFAULT_TTL) return text;
  const seconds = parseDuration(text);
  if (Number.isNaN(seconds)) throw new InvalidArgumentError(`It must be a duration such as 15m, or ${DEFAULT_TTL}.`);
  return seconds;
}

/** Returns a message for each capability that is not one of the scopes. */
function checkCapabilities(options: ResourceOptions): (string | false)[] {
  const names = scopesOf(options).map(({ name }) => name);
  return (options.capability ?? []).map(
    (name) => !names.includes(name) && `--capability ${name} must be defined by --scope or --extra-scope`,
  );
}

function scopesOf({ scope = [], extraScope = [], capability = [] }: ResourceOptions): Scope[] {
  const toScope =
    (byDefault: boolean) =>
    ([name, description]: [string, string]) => ({
      name,
      description,
      byDefault,
      capability: capability.includes(name),
    });
  return [...scope.map(toScope(true)), ...extraScope.map(toScope(false))];
}

function requireResource({ resources }: Core, identifier: string): Resource {
  const resource = resources.find(identifier);
  if (!resource) throw notFound('No API has this identifier.');
  return resource;
}

/** Describes an API. An unknown client is not an error, because it can be registered later. */
async function describe({ clients }: Core, resource: Resource) {
  const listedClients = await Promise.all(resource.clientIds.map((id) => clients.find(id)));
  const unknownIds = resource.clientIds.filter((_, index) => !listedClients[index]);
  return {
    json: serializeResource(resource),
    text: table([
      ['identifier', resource.identifier],
      ['name', resource.name],
      ['scopes', resource.scopes.map(({ name }) => name).join(' ')],
      ['tokens', describeTokens(resource)],
      ['clients', describeClients(resource)],
      ...unknownIds.map((id) => ['unknown', `${id}: this client does not exist yet`]),
    ]),
  };
}

function describeTokens({ accessTokenFormat: format, accessTokenTtlSeconds: seconds }: Resource): string {
  return seconds === undefined ? format : `${format} ${seconds}s`;
}

const describeClients = ({ openToAllClients, clientIds }: Resource) =>
  openToAllClients ? 'all' : `${clientIds.length} listed`;
