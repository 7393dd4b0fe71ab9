/** `signet audit …`: reads the audit log. */
import { type Command, InvalidArgumentError } from 'commander';
import { AUDIT_ACTIONS } from '../core/audit/events.js';
import { type Cli, parseLimit, table, withExamples } from './command.js';

interface ListOptions {
  limit: number;
  action?: string;
  account?: string;
  client?: string;
}

/** Adds the commands for the audit log. */
export function addAuditCommands(program: Command, cli: Cli): void {
  const list = program
    .command('audit')
    .description('Reads the audit log.')
    .command('list')
    .description('Lists audit events, newest first.')
    .option('--limit <number>', 'maximum number of events', parseLimit, 100)
    .option('--action <action>', 'only this action, such as sign_in.failed', parseAction)
    .option('--account <id>', 'only events of this account')
    .option('--client <id>', 'only events of this client')
    .action(
      cli.action(async ({ limit, action, account, client }: ListOptions) => {
        const { core } = await cli.open();
        const events = await core.audit.list({ action, accountId: account, clientId: client }, limit);
        return {
          json: events,
          text: table([
            ['AT', 'ACTION', 'ACTOR', 'ACCOUNT', 'CLIENT', 'ADDRESS'],
            ...events.map(({ at, action, actorKind, actorId, accountId, clientId, address }) => [
              at.toISOString(),
              action,
              actorId ? `${actorKind} ${actorId}` : actorKind,
              accountId ?? '',
              clientId ?? '',
              address ?? '',
            ]),
          ]),
        };
      }),
    );
  withExamples(list, 'audit list --limit 20', 'audit list --action sign_in.failed --json');
}

function parseAction(action: string): string {
  if ((AUDIT_ACTIONS as readonly string[]).includes(action)) return action;
  throw new InvalidArgumentError(`Known actions are ${AUDIT_ACTIONS.join(', ')}.`);
}
