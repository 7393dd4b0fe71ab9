/** Defines the program with all commands. commander provides parsing, help and suggestions. */
import { Command } from 'commander';
import { VERSION } from '../base/version.js';
import { addAccountCommands } from './accounts.js';
import { addAuditCommands } from './audit.js';
import { addClientCommands } from './clients.js';
import { type Cli, withExamples } from './command.js';
import { addDatabaseCommands } from './database.js';
import { addDoctor } from './doctor.js';
import { addKeyCommands } from './keys.js';
import { addResourceCommands } from './resources.js';

/** Creates the program. Its parse methods throw a `CommanderError` for help and usage errors. */
export function createProgram(cli: Cli): Command {
  const program = new Command('signet')
    .description('Manages a Signet installation. Reads the same settings as the server.')
    .version(VERSION)
    .option('--json', 'print JSON')
    .helpOption('-h, --help', 'show help')
    .exitOverride()
    .showHelpAfterError('(add --help for more information)')
    .configureHelp({
      showGlobalOptions: true,
      visibleCommands: (command) => (command.commands.length > 0 ? leafCommandsOf(command) : []),
      subcommandTerm: (command) =>
        [pathOf(command), ...command.registeredArguments.map((argument) => `<${argument.name()}>`)].join(' '),
      subcommandDescription: (command) => command.summary() || command.description(),
    })
    .hook('preAction', (_program, command) => rejectMissingValues(command));
  addAccountCommands(program, cli);
  addClientCommands(program, cli);
  addResourceCommands(program, cli);
  addKeyCommands(program, cli);
  addAuditCommands(program, cli);
  addDatabaseCommands(program, cli);
  addDoctor(program, cli);
  return withExamples(
    program,
    'account create --email ann@example.com --admin',
    'client create --name Acme --redirect-uri https://acme.example/callback',
    'doctor',
  );
}

/** Rejects `--name ''`, and `--name --public`, which commander reads as a name "--public". */
function rejectMissingValues(command: Command): void {
  for (const [name, value] of Object.entries(command.opts<Record<string, unknown>>())) {
    const option = command.options.find((candidate) => candidate.attributeName() === name);
    if ([value].flat().some((text) => text === '' || (typeof text === 'string' && text.startsWith('--'))))
      command.error(`error: option '${option?.flags}' needs a value`);
  }
}

/** Returns the commands that can be run, without their groups. */
const leafCommandsOf = (command: Command): Command[] =>
  command.commands.flatMap((child) =>
    child.commands.length > 0 ? leafCommandsOf(child as Command) : [child as Command],
  );

/** Returns the name of a command with the names of its groups: `account create`. */
const pathOf = (command: Command): string =>
  command.parent?.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
