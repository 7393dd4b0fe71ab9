/** `signet db …`: manages the database. */
import type { Command } from 'commander';
import { copyDatabase } from '../base/db/copy.js';
import { type Cli, table, throwUsageErrors, withExamples } from './command.js';

/** An argument that is replaced by the value of this setting, which can contain a password. */
const FROM_SETTINGS = 'DATABASE_URL';

/** Adds the commands for the database. */
export function addDatabaseCommands(program: Command, cli: Cli): void {
  const copy = program
    .command('db')
    .description('Manages the database.')
    .command('copy')
    .argument('<from>', `file:<path>, postgresql://…, or the word ${FROM_SETTINGS} for the value of this setting`)
    .argument('<to>', 'the same, for an empty database')
    .description(
      'Copies all data into an empty database. Stop the server first. ' +
        `URLs cannot contain a password: use ${FROM_SETTINGS}, PGPASSWORD or ~/.pgpass.`,
    )
    .summary('Copies all data into an empty database.')
    .action(
      cli.action(async (from: string, to: string) => {
        throwUsageErrors(
          [from, to].map(
            (url) =>
              url !== FROM_SETTINGS &&
              Boolean(URL.parse(url)?.password) &&
              `a URL on the command line cannot contain a password: use ${FROM_SETTINGS}, PGPASSWORD or ~/.pgpass`,
          ),
        );
        const urlOf = (argument: string) => (argument === FROM_SETTINGS ? cli.config().databaseUrl : argument);
        const models = await copyDatabase(urlOf(from), urlOf(to));
        const nonEmpty = models.filter(({ rows }) => rows > 0);
        return {
          json: models,
          text: table([['MODEL', 'ROWS'], ...nonEmpty.map(({ model, rows }) => [model, String(rows)])]),
        };
      }),
    );
  withExamples(
    copy,
    'db copy DATABASE_URL postgresql://signet@db.example.com/signet',
    'db copy file:./a.db file:./b.db',
  );
}
