/** `signet client …`: manages OAuth clients. */
import type { Command } from 'commander';
import { systemMeta } from '../base/request-meta.js';
import type { Client } from '../core/clients/clients.js';
import { addClientCreate } from './client-create.js';
import { type Cli, parseLimit, table, withExamples } from './command.js';

/** Adds the commands for OAuth clients. */
export function addClientCommands(program: Command, cli: Cli): void {
  const client = program.command('client').description('Manages OAuth clients.');

  addClientCreate(client, cli, serialize);

  const list = client
    .command('list')
    .description('Lists clients, newest first.')
    .option('--limit <number>', 'maximum number of clients', parseLimit, 100)
    .action(
      cli.action(async ({ limit }: { limit: number }) => {
        const { core } = await cli.open();
        const clients = await core.clients.list(limit);
        return {
          json: clients.map(serialize),
          text: table([
            ['CLIENT ID', 'NAME', 'ORIGIN', 'TYPE', 'CREATED'],
            ...clients.map(({ id, name, origin, secretHash, firstParty, createdAt }) => [
              id,
              name ?? '',
              origin,
              [secretHash ? 'confidential' : 'no secret', firstParty && 'first-party'].filter(Boolean).join(', '),
              createdAt.toISOString(),
            ]),
          ]),
        };
      }),
    );
  withExamples(list, 'client list --limit 20');

  const remove = client
    .command('delete')
    .argument('<client_id>', 'the client')
    .description('Deletes a client and all its grants. A running server rejects it within a second.')
    .summary('Deletes a client and all its grants.')
    .action(
      cli.action(async (id: string) => {
        const { core } = await cli.open();
        await core.clients.remove(id, systemMeta);
        return { json: { client_id: id, deleted: true }, text: `${id} is deleted.` };
      }),
    );
  withExamples(remove, 'client delete K5tZc0cTtY3XqPUW');

  const rotateSecret = client
    .command('rotate-secret')
    .argument('<client_id>', 'the client')
    .description('Replaces the secret of a client. Prints the new secret once. The old secret stops working.')
    .summary('Replaces the secret of a client.')
    .action(
      cli.action(async (id: string) => {
        const { core } = await cli.open();
        const secret = await core.clients.rotateSecret(id, systemMeta);
        return {
          json: { client_id: id, client_secret: secret },
          text: table([['client_secret', `${secret}  (shown once)`]]),
        };
      }),
    );
  withExamples(rotateSecret, 'client rotate-secret K5tZc0cTtY3XqPUW');

  const prune = client
    .command('prune')
    .description(
      'Deletes unused dynamically registered clients now. The server also does this regularly: see UNUSED_CLIENT_TTL and IDLE_CLIENT_TTL.',
    )
    .summary('Deletes unused dynamically registered clients.')
    .option('--dry-run', 'only list the clients that would be deleted')
    .action(
      cli.action(async ({ dryRun }: { dryRun?: boolean }) => {
        const { core } = await cli.open();
        const unused = dryRun ? await core.unusedClients.find() : await core.unusedClients.removeUnused();
        const rows = unused.map(({ client: { id, name, createdAt, lastUsedAt }, reason }) => [
          id,
          name ?? '',
          reason,
          createdAt.toISOString(),
          lastUsedAt?.toISOString() ?? 'never',
        ]);
        const summary = `${unused.length} ${dryRun ? 'would be deleted' : 'deleted'}.`;
        return {
          json: unused.map(({ client: { id, name, createdAt, lastUsedAt }, reason }) => ({
            client_id: id,
            client_name: name,
            reason,
            created_at: createdAt,
            last_used_at: lastUsedAt,
          })),
          text: [
            ...(rows.length > 0 ? [table([['CLIENT ID', 'NAME', 'REASON', 'CREATED', 'LAST USED'], ...rows])] : []),
            summary,
          ].join('\n'),
        };
      }),
    );
  withExamples(prune, 'client prune --dry-run', 'client prune');
}

function serialize({ id, name, origin, firstParty, pkceRequired, metadata, createdAt }: Client) {
  return {
    client_id: id,
    client_name: name,
    origin,
    first_party: firstParty,
    pkce_required: pkceRequired,
    created_at: createdAt,
    metadata,
  };
}
