/**
 * The same core from a terminal, on the same settings, beside a running server: `npm run cli --
 * <command>`.
 */

import { AppError } from './base/app-error.js';
import { openBase } from './base/base.js';
import { ConfigError, loadEnvFile, readConfig } from './base/config.js';
import { createLog } from './base/log.js';
import { accountCommands } from './cli/accounts.js';
import { clientCommands } from './cli/clients.js';
import { type Command, type CommandContext, helpFor, readArguments, table, UsageError } from './cli/command.js';
import { doctor } from './cli/doctor.js';
import { importAccounts } from './cli/import-accounts.js';
import { operationCommands } from './cli/operations.js';
import { resourceCommands } from './cli/resources.js';
import { createCore } from './core/core.js';

const COMMANDS: Command[] = [
  ...accountCommands,
  importAccounts,
  ...clientCommands,
  ...resourceCommands,
  ...operationCommands,
  doctor,
];
const [DONE, FAILED, MISUSED] = [0, 1, 64];

loadEnvFile();
process.exitCode = await main(process.argv.slice(2));

async function main(words: string[]): Promise<number> {
  const command = COMMANDS.find(({ name }) => words.slice(0, name.split(' ').length).join(' ') === name);
  if (!command) return answerUnknown(words);
  const services = lazyServices();
  try {
    const args = readArguments(command, words.slice(command.name.split(' ').length));
    if (args.has('help')) return say(helpFor(command));
    const { json, text, bad } = await command.run(args, services);
    say(args.has('json') ? JSON.stringify(json, null, 2) : text);
    return bad ? FAILED : DONE;
  } catch (error) {
    process.stderr.write(`${wording(error)}\n`);
    return error instanceof UsageError ? MISUSED : FAILED;
  } finally {
    await services.close();
  }
}

/** Opened by the first who asks, so that `--help` and wrong arguments touch nothing. */
function lazyServices(): CommandContext & { close(): Promise<void> } {
  let opened: ReturnType<CommandContext['open']> | undefined;
  let known: ReturnType<typeof readConfig> | undefined;

  return { config, open, input, close };

  function config() {
    known ??= readConfig();
    return known;
  }

  function open() {
    opened ??= build();
    return opened;
  }

  async function build() {
    const base = await openBase(config(), { log: createLog('error', process.stderr) });
    try {
      return { base, core: await createCore(base) };
    } catch (error) {
      await base.close();
      throw error;
    }
  }

  async function input(): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  async function close(): Promise<void> {
    const services = await opened?.catch(() => undefined);
    await services?.core.close();
    await services?.base.close();
  }
}

/** An overview, of one noun where the words begin with one: `client --help` tells of clients. */
function answerUnknown(words: string[]): number {
  const [noun = ''] = words;
  const ofNoun = COMMANDS.filter(({ name }) => name.split(' ')[0] === noun);
  const overview = `npm run cli -- <command> [--json] [--help]\n\n${table(
    (ofNoun.length > 0 ? ofNoun : COMMANDS).map(({ name, takes = [], description }) => [
      `  ${[name, ...takes.map((word) => `<${word}>`)].join(' ')}`,
      description.split(/(?<=\.) /)[0]!,
    ]),
  )}`;
  const [asked = ''] = ofNoun.length > 0 ? words.slice(1) : words;
  if (asked === '--help' || asked === 'help') return say(overview);
  const problem = asked ? `There is no command "${words.join(' ')}".` : 'Name a command.';
  process.stderr.write(`${problem}\n\n${overview}\n`);
  return MISUSED;
}

function say(text: string): number {
  process.stdout.write(`${text}\n`);
  return DONE;
}

/**
 * A sentence for whoever sits there; what was thrown unexpectedly says what it says, without its
 * stack.
 */
function wording(error: unknown): string {
  if (error instanceof ConfigError || error instanceof UsageError) return error.message;
  const { message } = error as Error;
  const fields = error instanceof AppError ? Object.entries(error.fields ?? {}) : [];
  return [message, ...fields.map(([field, problem]) => `${field}: ${problem}`)].join(' ');
}
