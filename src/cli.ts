#!/usr/bin/env node
/** `signet`: runs functions of the server from a terminal, with the same settings. */
import { CommanderError } from 'commander';
import { AppError } from './base/app-error.js';
import { openBase } from './base/base.js';
import { ConfigError, loadEnvFile, readConfig } from './base/config.js';
import { createLog } from './base/log.js';
import { type Cli, UsageError } from './cli/command.js';
import { renameDeprecatedCommand } from './cli/deprecated-commands.js';
import { createProgram } from './cli/program.js';
import { createCore } from './core/core.js';

/** 64 is EX_USAGE of sysexits.h. */
const [OK, FAILED, USAGE] = [0, 1, 64];

loadEnvFile();
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const services = lazyServices();
  let exitCode = OK;
  const action: Cli['action'] = (work) =>
    async function printResult(...parameters) {
      const { json, text, failed } = await work(...parameters);
      process.stdout.write(`${program.opts().json ? JSON.stringify(json, null, 2) : text}\n`);
      if (failed) exitCode = FAILED;
    };
  const program = createProgram({ ...services, action });
  try {
    await program.parseAsync(renameDeprecatedCommand(args), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === OK ? OK : USAGE; // commander has printed the error
    process.stderr.write(`${messageOf(error)}\n`);
    return error instanceof UsageError ? USAGE : FAILED;
  } finally {
    await services.close();
  }
}

/** Opens the database only when a command needs it, so that `--help` works without one. */
function lazyServices(): Omit<Cli, 'action'> & { close(): Promise<void> } {
  let opened: ReturnType<Cli['open']> | undefined;
  let cachedConfig: ReturnType<typeof readConfig> | undefined;

  return { config, open, readStdin, close };

  function config() {
    cachedConfig ??= readConfig();
    return cachedConfig;
  }

  function open() {
    opened ??= openServices();
    return opened;
  }

  async function openServices() {
    const base = await openBase(config(), { log: createLog('error', process.stderr) });
    try {
      return { base, core: await createCore(base) };
    } catch (error) {
      await base.close();
      throw error;
    }
  }

  async function readStdin(): Promise<string> {
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

/** Returns the message that is printed, without a stack trace. */
function messageOf(error: unknown): string {
  if (error instanceof ConfigError || error instanceof UsageError) return error.message;
  const { message } = error as Error;
  const fields = error instanceof AppError ? Object.entries(error.fields ?? {}) : [];
  return [message, ...fields.map(([field, fieldMessage]) => `${field}: ${fieldMessage}`)].join(' ');
}
